"""The command `degrain`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import degrain
from degrain.errors import DegrainError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0 done, 1 some of it failed, 2 it could not start."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (DegrainError, OSError) as error:  # OSError: a name that is too long, and the like
        print(f"degrain: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="degrain", description="Denoise images with networks trained adversarially."
    )
    parser.add_argument("--version", action="version", version=f"degrain {degrain.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_denoise(commands.add_parser("denoise", help="restore images", description=_denoise.__doc__))
    _add_export(commands.add_parser("export", help="write a generator as ONNX", description=_export.__doc__))
    table = commands.add_parser("table", help="print the results of the last evaluation")
    table.set_defaults(run=_table)
    _add_preset(commands.add_parser("preset", help="set up a whole experiment", description=_preset.__doc__))
    return parser


def _add_denoise(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", nargs="+", type=Path, metavar="IN", help="images, or folders of images")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="folder, or a file for one image"
    )
    parser.add_argument(
        "--sigma",
        type=_sigma,
        default=None,
        metavar="auto|N",
        help="noise level in units of 255 (default: auto, estimated for each image)",
    )
    parser.add_argument(
        "--strength",
        type=_share,
        default=1.0,
        metavar="S",
        help="0 keeps the image, 1 is fully denoised (default: 1)",
    )
    parser.add_argument(
        "--model",
        default="faithful",
        metavar="M",
        help="faithful (nearest to the clean image; the default) or realistic (livelier), which come with "
        "degrain, or the safetensors file of a generator, like models/train/generator.safetensors",
    )
    parser.add_argument(
        "--ensemble",
        action="store_true",
        help="restore each image in its eight symmetries and average them: better, in eight times the time",
    )
    parser.add_argument("--device", choices=["auto", "cpu", "cuda", "mps"], default="auto")
    parser.add_argument("--precision", choices=["auto", "bfloat16", "float32"], default="auto")
    parser.add_argument(
        "--threads", type=_count, default=None, metavar="N", help="processor threads (default: all cores)"
    )
    parser.set_defaults(run=_denoise)


def _add_preset(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="a file in presets/ (none: list them)")
    parser.add_argument("--force", action="store_true", help="overwrite changes that git does not hold")
    parser.set_defaults(run=_preset)


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="safetensors file of a generator")
    parser.add_argument("output", type=Path, metavar="OUT.onnx", help="file to write")
    parser.set_defaults(run=_export)


def _sigma(text: str) -> float | None:
    return None if text == "auto" else _number(text, 255, "auto or a number from 0 to 255")


def _share(text: str) -> float:
    return _number(text, 1, "a number from 0 to 1")


def _number(text: str, most: float, expected: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        msg = f"{text!r}; expected {expected}"
        raise argparse.ArgumentTypeError(msg)
    return number


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        msg = f"{text!r}; expected a whole number of at least 1"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _denoise(options: argparse.Namespace) -> int:
    """Restore images of any size in png, jpg, tif or webp; format, bit depth and metadata are kept."""
    # Imported late: torch takes a second that `degrain --help` need not wait.
    from degrain.compute import available_threads, start_engine
    from degrain.denoise import denoise_paths
    from degrain.params import Compute
    from degrain.restorers import load_restorer

    threads = options.threads or available_threads()
    engine = start_engine(Compute(device=options.device, precision=options.precision, threads=threads))
    restorer = load_restorer(options.model, engine, ensemble=options.ensemble)
    sigma = None if options.sigma is None else options.sigma / 255
    failures = denoise_paths(options.inputs, options.output, restorer, sigma=sigma, strength=options.strength)
    for failure in failures:
        print(f"degrain: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _export(options: argparse.Namespace) -> int:
    """Write a generator as one ONNX file for images of any size, checked against PyTorch."""
    from degrain.export import CHECKED, export_onnx

    difference = export_onnx(options.model, options.output)
    if difference is None:
        print(f"{options.output}: written; not checked, as onnxruntime is not installed")
    else:
        sizes = ", ".join(f"{height}x{width}" for _, height, width in CHECKED)
        print(f"{options.output}: as PyTorch computes within {difference:.0e} (white is 1) at {sizes}")
    return 0


def _table(_: argparse.Namespace) -> int:
    """Print the result table with the speeds."""
    from degrain.evaluation.tables import result_table

    print(result_table(Path("reports")), end="")
    return 0


def _preset(options: argparse.Namespace) -> int:
    """Write the values of a preset into params.yaml and show the difference; then run `dvc repro`."""
    from degrain.presets import apply_preset, list_presets

    if options.name is None:
        presets = list_presets()
        width = max(map(len, presets))
        print("\n".join(f"{name:{width}}  {purpose}" for name, purpose in presets.items()))
        return 0
    difference = apply_preset(options.name, force=options.force)
    if sys.stdout.isatty():
        difference = re.sub("^[-+@].*", _coloured, difference, flags=re.MULTILINE)
    print(difference or f"params.yaml has these values already: {options.name}\n", end="")
    return 0


def _coloured(line: re.Match[str]) -> str:
    """A line of a difference as git shows it: red, green or cyan, and headers in bold."""
    text = line[0]
    code = 1 if text.startswith(("---", "+++")) else {"-": 31, "+": 32, "@": 36}[text[0]]
    return f"\x1b[{code}m{text}\x1b[m"
