"""A generator as one ONNX file, which runs without Python and without PyTorch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

import degrain
from degrain.build.generator import load_generator
from degrain.errors import DegrainError
from degrain.files import write_bytes
from degrain.restore import mirrored

# (batch, height, width) that are compared with PyTorch: a single pixel, odd sides, a photograph, a batch.
CHECKED = ((1, 1, 1), (1, 37, 51), (1, 481, 321), (2, 64, 48))
# Largest difference, with white at 1: a fortieth of a step of 8 bits.
TOLERANCE = 1e-4


class AnySize(nn.Module):
    """A generator that pads by itself: images of any size, none of which it must be told.

    Parameters
    ----------
    network : takes sides that are multiples of its `stride`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.stride = network, int(network.stride)  # type: ignore[arg-type]

    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        """noisy (B, C, H, W) of any size; sigma (B,) on the image's scale; the shape of `noisy`."""
        height, width = noisy.shape[2:]
        # An exporter can follow indices for every side, while padding would fix the one it was shown.
        rows, columns = (mirrored(side, self.stride) for side in (height, width))
        padded = noisy.index_select(2, rows).index_select(3, columns)
        restored: Tensor = self.network(padded, sigma)
        return restored[:, :, :height, :width]


def export_onnx(model: Path, output: Path) -> float | None:
    """Write a trained generator as ONNX, checked against PyTorch.

    Inputs: noisy, float32 (batch, channels, height, width) in [0, 1], all sizes free; sigma, float32
    (batch,), the standard deviation of the noise on the same scale (units of 255 divided by 255).
    Output: restored, of the shape of noisy, not clipped. The file pads by itself, holds the weights, and
    says all this in its metadata.

    Parameters
    ----------
    model : safetensors file of a generator.
    output : name that ends in .onnx; written only after it passed.

    Returns
    -------
    The largest difference from PyTorch, with white at 1; None where onnxruntime is not installed.

    Raises
    ------
    DegrainError : no generator there, the packages are missing, or the two differ.
    """
    if output.suffix.lower() != ".onnx":
        msg = f"{output}: expected a name that ends in .onnx"
        raise DegrainError(msg)
    _require_onnx()
    generator, channels = load_generator(model)
    if generator.stochastic:
        msg = f"{model}: takes noise z, which no export has yet; expected model.stochastic: false"
        raise DegrainError(msg)
    network = AnySize(generator).eval()
    with tqdm(total=1 + len(CHECKED), desc="export", delay=3, leave=False, disable=None) as bar:
        encoded = _encoded(network, channels)
        bar.update()
        difference = _difference(encoded, network, channels, bar)
    if difference is not None and not difference <= TOLERANCE:
        msg = (
            f"{output}: not written, as it differs from PyTorch by {difference:.1e}; expected {TOLERANCE:.0e}"
        )
        raise DegrainError(msg)
    write_bytes(output, encoded)
    return difference


def _require_onnx() -> None:
    try:
        import onnx
        import onnxscript  # noqa: F401  what torch.onnx is written with
    except ImportError as error:
        msg = f"{error.name or 'onnx'} is not installed; pip install 'degrain[onnx]'"
        raise DegrainError(msg) from error
    del onnx


def _encoded(network: AnySize, channels: int) -> bytes:
    """The network as the bytes of an ONNX file."""
    import onnx

    example = torch.rand(2, channels, 37, 51), torch.rand(2)  # neither 1 nor equal: those would be fixed
    batch, height, width = (torch.export.Dim(name) for name in ("batch", "height", "width"))
    with _quiet():
        program = torch.onnx.export(
            network,
            example,
            dynamo=True,
            external_data=False,
            verbose=False,
            input_names=["noisy", "sigma"],
            output_names=["restored"],
            dynamic_shapes={"noisy": {0: batch, 2: height, 3: width}, "sigma": {0: batch}},
        )
    if program is None:
        msg = "torch.onnx.export returned nothing; expected a program"
        raise RuntimeError(msg)
    proto: Any = program.model_proto
    for part in (*proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output):
        del part.metadata_props[:]  # lines and folders of the code that it was made from
    proto.producer_name, proto.producer_version = "degrain", degrain.__version__
    onnx.helper.set_model_props(proto, _description(channels, network.stride))
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString())


def _description(channels: int, stride: int) -> dict[str, str]:
    return {
        "channels": str(channels),
        "stride": f"{stride}; sides that are no multiple of it are padded inside",
        "noisy": "float32 (batch, channels, height, width), white is 1",
        "sigma": "float32 (batch,), standard deviation of the noise where white is 1: units of 255 / 255",
        "restored": "float32, of the shape of noisy, not clipped",
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on itself and on packages that we do not use."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _difference(encoded: bytes, network: AnySize, channels: int, bar: tqdm[Any]) -> float | None:
    """How far ONNX and PyTorch are apart, at most; None if there is no onnxruntime to ask."""
    try:
        import onnxruntime
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(encoded, providers=["CPUExecutionProvider"])
    largest = 0.0
    for batch, height, width in CHECKED:
        noisy = torch.rand((batch, channels, height, width), generator=torch.Generator().manual_seed(height))
        sigma = torch.linspace(0.1, 0.2, batch)
        (found,) = session.run(None, {"noisy": noisy.numpy(), "sigma": sigma.numpy()})
        with torch.inference_mode():
            apart = (torch.from_numpy(found) - network(noisy, sigma)).abs().max()
        largest = max(largest, float(apart))
        bar.update()
    return largest
