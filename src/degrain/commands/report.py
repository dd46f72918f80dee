"""`degrain report`."""

from __future__ import annotations

import argparse
from pathlib import Path

from degrain.commands.arguments import Commands


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("report", help="write what a training changed", description=_run.__doc__)
    parser.add_argument(
        "--against",
        default="main",
        metavar="REV",
        help="what to compare with (default: main)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("report.md"),
        metavar="OUT",
        help="file to write (default: %(default)s)",
    )
    parser.add_argument(
        "--decision", type=Path, metavar="JSON", help="what `degrain promote --output` wrote, to be shown too"
    )
    parser.add_argument(
        "--address",
        metavar="URL",
        help="where the commits' files can be fetched, as URL/COMMIT/PATH, for a comment on a forge; "
        "without it the report refers to files beside it",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Write params, metrics, curves, pictures and the gate's decision as Markdown, against a revision."""
    # Imported late: pandas and matplotlib take a second that `degrain --help` need not wait.
    from degrain.report.comment import write_report

    write_report(options.output, against=options.against, decision=options.decision, address=options.address)
    print(f"{options.output}: written")
    return 0
