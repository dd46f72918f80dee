"""`degrain rollback`."""

from __future__ import annotations

import argparse

from degrain.commands.arguments import Commands


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "rollback", help="make the previous champion the champion again", description=_run.__doc__
    )
    parser.set_defaults(run=_run)


def _run(_: argparse.Namespace) -> int:
    """Swap the champion and the previous one; a second time swaps them back."""
    from degrain.lifecycle.moves import roll_back
    from degrain.params import load_params
    from degrain.tracking.registry import open_registry

    with open_registry(load_params()) as registry:
        champion, previous = roll_back(registry)
    print(f"champion: {champion}; previous: {previous}")
    return 0
