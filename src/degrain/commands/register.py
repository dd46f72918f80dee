"""`degrain register`."""

from __future__ import annotations

import argparse

from degrain.commands.arguments import Commands


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "register", help="make the evaluated model a version in MLflow's registry", description=_run.__doc__
    )
    parser.set_defaults(run=_run)


def _run(_: argparse.Namespace) -> int:
    """Register the model that the pipeline evaluated last, with its hashes, results and card.

    The registered model is degrain-rgb or degrain-grey; the same model again is the same version.
    """
    from degrain.lifecycle.evaluated import load_evaluated
    from degrain.lifecycle.register import register_evaluated
    from degrain.params import load_params
    from degrain.tracking.registry import open_registry

    params, evaluated = load_params(), load_evaluated()
    with open_registry(params) as registry:
        known = registry.find(evaluated.sha256)
        version = register_evaluated(registry, evaluated, params)
    print(f"{version}: {'registered already; tags and card are up to date' if known else 'registered'}")
    return 0
