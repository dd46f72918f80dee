"""`degrain compare`."""

from __future__ import annotations

import argparse
from pathlib import Path

from degrain.commands.arguments import Commands, count


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "compare", help="show two runs of MLflow side by side", description=_run.__doc__
    )
    parser.add_argument(
        "runs", nargs=2, metavar="RUN", help="an id, the beginning of one, or a name: then the newest of it"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("comparison"),
        metavar="FOLDER",
        help="for the pictures (default: comparison)",
    )
    parser.add_argument(
        "--images", type=count, default=5, metavar="N", help="pictures of so many images (default: 5)"
    )
    parser.add_argument("--all", action="store_true", help="params and metrics that do not differ, too")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Show the params and metrics in which two runs differ; restore the test images by the models of both,
    and draw the images that changed most.
    """
    from degrain.lifecycle.compare import compare_models, side_by_side
    from degrain.params import load_params
    from degrain.tracking.lookup import find_run
    from degrain.tracking.registry import open_registry

    params = load_params()
    with open_registry(params) as registry:
        first, second = (find_run(registry.store, name) for name in options.runs)
        print(side_by_side(first, second, everything=options.all), end="\n\n")
        changes = compare_models(registry.store, (first, second), params, options.output, most=options.images)
    if changes is None:
        print("No pictures: one of the runs has no model in the store.")
        return 0
    for one in changes:
        print(
            f"{one.name}, {one.level}: {one.first_db:.2f} -> {one.second_db:.2f} dB, "
            f"{one.rms_255:.2f}/255 apart: {one.picture}"
        )
    return 0
