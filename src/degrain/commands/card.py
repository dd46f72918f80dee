"""`degrain card`."""

from __future__ import annotations

import argparse

from degrain.commands.arguments import Commands


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("card", help="show the model card of a version", description=_run.__doc__)
    parser.add_argument(
        "version",
        nargs="?",
        metavar="VERSION",
        help="its number, or champion or previous (default: champion, or the newest where there is none)",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Print a version's model card: data and hashes, params, results, the worst images, limits."""
    from degrain.params import load_params
    from degrain.tracking.registry import open_registry

    with open_registry(load_params()) as registry:
        print(registry.read_card(registry.named(options.version)), end="")
    return 0
