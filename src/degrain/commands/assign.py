"""`degrain set`."""

from __future__ import annotations

import argparse

from degrain.commands.arguments import Commands


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("set", help="set values in params.yaml", description=_run.__doc__)
    parser.add_argument("assignments", nargs="+", metavar="KEY=VALUE", help="like noise.kind=poisson")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Set values in params.yaml, its comments kept; nothing is written unless all of them are valid."""
    from degrain.settings import assign

    assign(options.assignments)
    return 0
