"""`degrain realism`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from degrain.commands.arguments import Commands, count

if TYPE_CHECKING:
    from degrain.features import Backbone

# Of the pipeline.
RESTORED, CLEAN, REPORTS = Path("data/restored"), Path("data/raw/test"), Path("reports")


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "realism", help="measure how much restored images look like photographs", description=_run.__doc__
    )
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="FOLDER",
        help="restored images (default: those of the last evaluation, into reports/realism.md)",
    )
    parser.add_argument(
        "--clean",
        type=Path,
        metavar="FOLDER",
        help="the clean images, with the same names but for the suffix",
    )
    parser.add_argument(
        "--lpips",
        action="store_true",
        help="LPIPS as well (needs the package lpips, which downloads weights)",
    )
    parser.add_argument(
        "--threads", type=count, default=2, metavar="N", help="processor threads (default: 2)"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Measure distances of spectra and deep features, and whether a network can tell restored from real."""
    from degrain.compute import start_engine
    from degrain.errors import DegrainError
    from degrain.evaluation.realism import measure_realism, read_pairs
    from degrain.evaluation.realism_report import realism_table, report_realism
    from degrain.metrics.lpips import Lpips
    from degrain.params import Compute

    if (options.folder is None) != (options.clean is None):
        msg = "expected FOLDER and --clean FOLDER, or neither"
        raise DegrainError(msg)
    # Always the processor in float32: another device or precision gives other figures.
    start_engine(Compute(device="cpu", precision="float32", threads=options.threads))
    judge, lpips = _judge(), Lpips() if options.lpips else None
    if options.folder is None:
        text = report_realism(RESTORED, CLEAN, REPORTS, judge=judge, lpips=lpips)
    else:
        values = measure_realism(*read_pairs(options.folder, options.clean), judge=judge, lpips=lpips)
        text = realism_table({str(options.folder): values})
    print(text, end="")
    return 0


def _judge() -> Backbone | None:
    """The judge, or a word about what is left out without it."""
    from degrain.errors import DegrainError
    from degrain.features import load_backbone

    try:
        return load_backbone("judge")
    except DegrainError as error:
        print(f"degrain: without feature and Frechet distance, as {error}", file=sys.stderr)
        return None
