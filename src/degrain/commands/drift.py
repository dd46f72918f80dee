"""`degrain drift`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from degrain.commands.arguments import Commands, share

DRIFT = 4
REFERENCE = Path("reports/reference.csv")


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "drift",
        help="compare incoming noisy images with those that the model was made for",
        description=_run.__doc__,
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="IMAGES", help="images, or folders of images")
    parser.add_argument(
        "--reference",
        type=Path,
        default=REFERENCE,
        metavar="PATH",
        help="a table of features, a folder of images, or a registered model such as "
        "models:/degrain-rgb@champion (default: %(default)s, of the pipeline's last run)",
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("drift"), metavar="FOLDER", help="default: %(default)s"
    )
    parser.add_argument(
        "--write-reference",
        type=Path,
        metavar="FILE",
        help="compare nothing: make these images the reference of later checks",
    )
    parser.add_argument(
        "--channels",
        type=int,
        choices=[1, 3],
        default=3,
        help="of a reference that is made of images: 1 for a grey model (default: 3)",
    )
    _add_settings(parser)
    parser.set_defaults(run=_run)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--significance",
        type=share,
        default=0.01,
        metavar="P",
        help="share of checks that may find a drift where there is none (default: %(default)s)",
    )
    parser.add_argument(
        "--least-distance",
        type=share,
        default=0.2,
        metavar="D",
        help="from 0 (equal) to 1 (no overlap); what is nearer has not drifted (default: %(default)s)",
    )
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="FEATURE", help="such as megapixels; may be repeated"
    )


def _run(options: argparse.Namespace) -> int:
    """Compare the noise, the light and the size of images; exit code 4: they have drifted, 0: they have not.

    1: some of them could not be read, and the others have not drifted; 2: nothing could be compared.
    """
    from degrain.drift.check import check_drift, make_reference
    from degrain.drift.compare import Settings

    if options.write_reference:
        unreadable = make_reference(options.inputs, options.write_reference, options.channels)
        drifted = False
    else:
        settings = Settings(options.significance, options.least_distance, tuple(options.ignore))
        result = check_drift(
            options.inputs, options.reference, options.output, settings, channels=options.channels
        )
        unreadable, drifted = result.unreadable, bool(result.drifted)
        print(f"{result}\nreport: {options.output / 'drift.html'}")
    for error in unreadable:
        print(f"degrain: {error}", file=sys.stderr)
    return DRIFT if drifted else int(bool(unreadable))
