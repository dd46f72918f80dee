"""`degrain table`."""

from __future__ import annotations

import argparse
from pathlib import Path

from degrain.commands.arguments import Commands


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "table", help="print the results of the last evaluation", description=_run.__doc__
    )
    parser.set_defaults(run=_run)


def _run(_: argparse.Namespace) -> int:
    """Print what the last evaluation measured: PSNR in dB / SSIM at every level, and megapixels a second."""
    from degrain.evaluation.tables import result_table

    print(result_table(Path("reports")), end="")
    return 0
