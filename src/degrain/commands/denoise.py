"""`degrain denoise`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from degrain.commands.arguments import Commands, count, several, share, sigma_255, whole


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("denoise", help="restore images", description=_run.__doc__)
    parser.add_argument("inputs", nargs="+", type=Path, metavar="IN", help="images, or folders of images")
    parser.add_argument(
        *("-o", "--output"),
        type=Path,
        default=Path("restored"),
        metavar="OUT",
        help="folder, or a file for one image (default: %(default)s)",
    )
    parser.add_argument(
        "--sigma",
        type=sigma_255,
        default=None,
        metavar="auto|N",
        help="noise level in units of 255 (default: auto, estimated for each image)",
    )
    parser.add_argument(
        "--strength",
        type=share,
        default=1.0,
        metavar="S",
        help="0 keeps the image, 1 is fully denoised (default: 1)",
    )
    parser.add_argument(
        "--model",
        default=None,
        metavar="M",
        help="faithful (nearest to the clean image; the default) or realistic (livelier), which come with "
        "degrain, or the safetensors file of a generator, like models/train/generator.safetensors; "
        "with --dial, the folder that a pipeline trained into, like models",
    )
    parser.add_argument(
        "--dial",
        type=share,
        default=None,
        metavar="D",
        help="between 0, most faithful, and 1, most realistic: a network between the two",
    )
    parser.add_argument(
        "--samples",
        type=several,
        default=0,
        metavar="N",
        help="write N plausible restorations of each image (photo.sample-01.png and so on), their mean "
        "(photo.mean.png) and their standard deviation at each pixel (photo.std.png: 16 bits, white is 64 in "
        "units of 255); by generators that come with degrain, or by --model, if it was trained with "
        "model.stochastic: true",
    )
    parser.add_argument(
        "--seed",
        type=whole,
        default=0,
        metavar="S",
        help="of what they draw; another gives other restorations (default: 0)",
    )
    parser.add_argument(
        "--ensemble",
        action="store_true",
        help="restore each image in its eight symmetries and average them: better, in eight times the time; "
        "once is enough where a generator restores all eight alike, as those that come with degrain do",
    )
    parser.add_argument(
        "--device",
        choices=["auto", "cpu", "cuda", "mps"],
        default="auto",
        help="(default: auto: cuda, then mps, then cpu)",
    )
    parser.add_argument(
        "--precision",
        choices=["auto", "bfloat16", "float32"],
        default="auto",
        help="(default: auto: bfloat16 where the hardware is fast at it)",
    )
    parser.add_argument(
        "--threads", type=count, default=None, metavar="N", help="processor threads (default: all cores)"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Restore images of any size in png, jpg, tif or webp; format, bit depth and metadata are kept."""
    # Imported late: torch takes a second that `degrain --help` need not wait.
    from degrain.compute import available_threads, start_engine
    from degrain.denoise import denoise_paths
    from degrain.params import Compute
    from degrain.restorers import load_restorer

    threads = options.threads or available_threads()
    engine = start_engine(Compute(device=options.device, precision=options.precision, threads=threads))
    restorer = load_restorer(
        options.model,
        engine,
        dial=options.dial,
        samples=options.samples > 0,
        ensemble=options.ensemble,
        seed=options.seed,
    )
    failures = denoise_paths(
        options.inputs,
        options.output,
        restorer,
        sigma=None if options.sigma is None else options.sigma / 255,
        strength=options.strength,
        samples=options.samples,
    )
    for failure in failures:
        print(f"degrain: {failure}", file=sys.stderr)
    return 1 if failures else 0
