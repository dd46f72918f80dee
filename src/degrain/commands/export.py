"""`degrain export`."""

from __future__ import annotations

import argparse
from pathlib import Path

from degrain.commands.arguments import Commands


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("export", help="write a generator as ONNX", description=_run.__doc__)
    parser.add_argument(
        "model", metavar="MODEL", help="safetensors file of a generator, or faithful or realistic"
    )
    parser.add_argument("output", type=Path, metavar="OUT.onnx", help="file to write")
    parser.add_argument(
        "--channels",
        type=int,
        choices=[1, 3],
        default=3,
        help="of the images, with faithful or realistic (default: 3)",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Write a generator as one ONNX file for images of any size, checked against PyTorch."""
    from degrain.build.released import END_POINTS, released_path
    from degrain.export import CHECKED, export_onnx

    named = options.model in END_POINTS
    model = released_path(options.model, options.channels) if named else Path(options.model)
    difference = export_onnx(model, options.output)
    if difference is None:
        print(f"{options.output}: written; not checked, as onnxruntime is not installed")
    else:
        sizes = ", ".join(f"{height}x{width}" for _, height, width in CHECKED)
        print(f"{options.output}: as PyTorch computes within {difference:.0e} (white is 1) at {sizes}")
    return 0
