"""Where and how to compute: device, precision, threads."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from degrain.params import Compute, ParamsError

# As in glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


@dataclass(frozen=True)
class Engine:
    """A device and the precision of convolutions on it; weights stay in float32."""

    device: torch.device
    dtype: torch.dtype

    def autocast(self) -> AbstractContextManager[None]:
        """Compute what bears it in the engine's precision."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32)

    def place(self, network: nn.Module) -> nn.Module:
        """The network on the device, laid out the way its convolutions are fastest."""
        return network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def send(self, tensor: Tensor) -> Tensor:
        """A tensor on the device; images laid out as the networks are."""
        layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
        return tensor.to(self.device, memory_format=layout, non_blocking=True)

    def __str__(self) -> str:
        name = f" ({torch.cuda.get_device_name(self.device)})" if self.device.type == "cuda" else ""
        return f"{self.device.type}{name}, {str(self.dtype).removeprefix('torch.')}"


def start_engine(compute: Compute) -> Engine:
    """Set this process up to compute as the params say, with the same bits every time.

    Raises
    ------
    ParamsError : the device asked for is not there.
    """
    device = torch.device(_best_device() if compute.device == "auto" else compute.device)
    if not _has_device(device.type):
        msg = f"device {compute.device!r}: this machine has none; take auto (params.yaml: compute.device)"
        raise ParamsError(msg)
    # cuBLAS is only deterministic with a workspace of fixed size.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(compute.threads)
    torch.get_num_threads()  # makes it this thread's own: the one that prepares batches sets another
    torch.use_deterministic_algorithms(mode=True, warn_only=device.type == "mps")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # none is read
    _keep_freed_memory()
    precision = compute.precision
    if precision == "auto":
        precision = "bfloat16" if _is_fast_at_bfloat16(device.type) else "float32"
    return Engine(device, getattr(torch, precision))


def available_threads() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _keep_freed_memory() -> None:
    """Have glibc keep what a step frees for the next one: asking for it anew costs a sixth of the time."""
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, 32 * 2**20)  # the largest that it takes
        library.mallopt(M_TRIM_THRESHOLD, 1024 * 2**20)


def _best_device() -> str:
    return next(kind for kind in ("cuda", "mps", "cpu") if _has_device(kind))


def _has_device(kind: str) -> bool:
    match kind:
        case "cuda":
            return torch.cuda.is_available()
        case "mps":
            return torch.backends.mps.is_available()
        case _:
            return kind == "cpu"


def _is_fast_at_bfloat16(kind: str) -> bool:
    """Whether the hardware says so (never a timing: one machine must always choose alike)."""
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if kind == "cpu":
        # No public names for these yet. Intel's processors run AVX512-BF16 at half the rate of float32.
        return bool(
            torch.cpu._is_amx_tile_supported() or (torch.cpu._is_avx512_bf16_supported() and _is_from_amd())
        )
    return False


def _is_from_amd() -> bool:
    info = Path("/proc/cpuinfo")
    told = info.read_text(encoding="utf-8") if info.exists() else platform.processor()
    return "AuthenticAMD" in told
