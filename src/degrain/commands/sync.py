"""`degrain sync`."""

from __future__ import annotations

import argparse
from pathlib import Path

from degrain.commands.arguments import Commands


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "sync", help="send MLflow what it was not there to take", description=_run.__doc__
    )
    parser.set_defaults(run=_run)


def _run(_: argparse.Namespace) -> int:
    """Send what stages could not send while the MLflow server was away, each entry once.

    It may be interrupted and repeated. What belongs to another server waits until MLFLOW_TRACKING_URI
    names that one.
    """
    from degrain.tracking.store import project_root, told, tracking_uri
    from degrain.tracking.sync import sync

    root = project_root(Path.cwd())
    uri, code, count = tracking_uri(root), 0, 0
    with told(uri):
        for sent in sync(root, uri):
            count += 1
            code = 1 if sent.reason else code
            print(f"{sent.name}: {sent.reason or f'{sent.entries} entries sent, run {sent.run_id}'}")
    if not count:
        print("nothing waits to be sent")
    return code
