"""`degrain promote`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from degrain.commands.arguments import Commands

if TYPE_CHECKING:
    from degrain.lifecycle.gate import Ruling
    from degrain.promotion import Verdict

REFUSED = 3


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "promote",
        help="make the evaluated model the champion, if it is better",
        description=_run.__doc__,
        epilog="exit code: 0 promoted, or the champion already; 3 refused; others are errors",
    )
    parser.add_argument("--dry-run", action="store_true", help="decide, and change nothing")
    parser.add_argument("--output", type=Path, metavar="FILE.json", help="write the decision there")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Measure the evaluated model and the champion on the same test files, and decide by the rules in
    params.yaml (promote) which of them is in use from now on.
    """
    from degrain.files import write_json
    from degrain.lifecycle.gate import judge, promote
    from degrain.params import load_params
    from degrain.tracking.registry import open_registry

    params = load_params()
    with open_registry(params) as registry:
        ruling = judge(registry, params)[0] if options.dry_run else promote(registry, params)
    if options.output:
        write_json(options.output, ruling.as_json())
    print("\n".join([*map(_line, ruling.decision.verdicts), "", _says(ruling)]))
    return REFUSED if ruling.decision.outcome == "refused" else 0


def _line(verdict: Verdict) -> str:
    """One rule with its figures."""
    mark = ("passed" if verdict.passed else "FAILED") if verdict.counts else "(told)"
    unit = f" {verdict.unit}" if verdict.unit else ""
    note = f"  [{verdict.note}]" if verdict.note else ""
    return f"{mark}  {verdict.rule}: {verdict.figure:.4g} {verdict.relation} {verdict.limit:g}{unit}{note}"


def _says(ruling: Ruling) -> str:
    decision = ruling.decision
    model = str(ruling.version or f"the evaluated model, {decision.challenger[:12]}, not registered")
    would = "would be " if ruling.dry_run else ""
    against = f"; champion so far: {ruling.champion or 'none'}" if decision.outcome != "unchanged" else ""
    over = f"on {decision.images} test images at {', '.join(decision.levels)}"
    if decision.outcome == "unchanged":
        return f"unchanged: {model} is the champion already"
    return f"{would}{decision.outcome}: {model}, {over}{against}"
