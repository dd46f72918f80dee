"""`degrain sampling`."""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

from degrain.commands.arguments import Commands, count, several

MODELS = Path("models")
NOISY = Path("data/noisy/manifest.csv")


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "sampling", help="examine a stochastic generator's samples", description=_run.__doc__
    )
    parser.add_argument(
        "--model",
        type=Path,
        default=MODELS / "train/generator.safetensors",
        metavar="M",
        help="the stochastic generator (default: %(default)s)",
    )
    parser.add_argument(
        "--reference",
        type=Path,
        default=MODELS / "pretrain/generator.safetensors",
        metavar="R",
        help="the deterministic generator to compare with (default: %(default)s)",
    )
    parser.add_argument("--level", default=None, metavar="L", help="like sigma_25 (default: the middle one)")
    parser.add_argument(
        "--count", type=several, default=32, metavar="N", help="samples an image (default: 32)"
    )
    parser.add_argument(
        "--images", type=count, default=None, metavar="I", help="at most so many (default: all)"
    )
    parser.add_argument(
        *("-o", "--output"),
        type=Path,
        default=Path("reports/sampling"),
        metavar="OUT",
        help="folder (default: %(default)s)",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Compare samples with the clean images of the test set.

    The error of the mean of N against the law 1 + 1/N, and the predicted error of each pixel against the
    real one, as tables and plots in OUT.
    """
    from tqdm import tqdm

    from degrain.compute import start_engine
    from degrain.data.noisy import NoisySet
    from degrain.errors import DegrainError
    from degrain.evaluation.sampling import as_text, examine, write_findings
    from degrain.params import load_params
    from degrain.restore import Restorer

    if not NOISY.is_file():
        msg = f"{NOISY}: not found; expected the test images of the pipeline, which dvc repro makes"
        raise DegrainError(msg)
    engine, test = start_engine(load_params().compute), NoisySet("test")
    level = options.level or test.levels[len(test.levels) // 2]
    if level not in test.levels:
        msg = f"--level {level}; expected one of: {', '.join(test.levels)}"
        raise DegrainError(msg)
    restorer = Restorer.load(options.model, engine)
    if not restorer.stochastic:
        msg = (
            f"{options.model}: takes no noise z, so it has no samples; expected one that was trained with "
            "model.stochastic: true: degrain preset colour-sampling (or grey-sampling), dvc repro"
        )
        raise DegrainError(msg)
    pairs = list(islice((pair for pair in test if pair.level == level), options.images))
    bar = tqdm(pairs, "images", leave=False, disable=None)
    found = examine(bar, restorer, Restorer.load(options.reference, engine), count=options.count)
    write_findings(found, level, options.output)
    print(as_text(found))
    return 0
