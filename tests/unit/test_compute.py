"""Device, precision and threads."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from degrain.compute import Engine, available_threads, start_engine
from degrain.params import Compute, ParamsError


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    deterministic = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(deterministic)


def start(device="cpu", precision="float32", threads=1):
    return start_engine(Compute(device=device, precision=precision, threads=threads))


def test_precision_is_what_was_asked_for():
    convolution, image = nn.Conv2d(3, 4, 3), torch.rand(1, 3, 8, 8)
    for precision in ("float32", "bfloat16"):
        engine = start(precision=precision)
        with engine.autocast():
            assert engine.place(convolution)(engine.send(image)).dtype == getattr(torch, precision)
        assert convolution.weight.dtype == torch.float32
        assert str(engine) == f"cpu, {precision}"


@pytest.mark.parametrize(
    ("amx", "avx512", "maker", "expected"),
    [
        (False, False, "AuthenticAMD", torch.float32),
        (False, True, "AuthenticAMD", torch.bfloat16),
        (False, True, "GenuineIntel", torch.float32),
        (True, True, "GenuineIntel", torch.bfloat16),
    ],
)
def test_auto_precision_goes_by_what_the_processor_reports(monkeypatch, amx, avx512, maker, expected):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(Path, "read_text", lambda path, **_: f"{path} says vendor_id : {maker}")
    monkeypatch.setattr(platform, "processor", lambda: maker)
    assert start(precision="auto").dtype == expected


def test_auto_device_takes_the_fastest_there_is(monkeypatch):
    for cuda, mps, expected in ((False, False, "cpu"), (False, True, "mps"), (True, True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=cuda: there)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda there=mps: there)
        assert start(device="auto").device.type == expected


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ParamsError, match="device 'cuda': this machine has none; take auto"):
        start(device="cuda")


def test_threads_and_determinism_are_set():
    torch.use_deterministic_algorithms(mode=False)
    start(threads=3)
    assert torch.get_num_threads() == 3
    assert torch.are_deterministic_algorithms_enabled()
    assert available_threads() >= 1


def test_the_threads_of_another_thread_change_nothing():
    """In a process of its own, where nothing was computed before."""
    code = """if True:
        import threading, torch
        from degrain.compute import start_engine
        from degrain.params import Compute
        start_engine(Compute(device="cpu", precision="float32", threads=2))
        other = threading.Thread(target=torch.set_num_threads, args=(1,))
        other.start()
        other.join()
        print(torch.get_num_threads())
    """
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"2\n"


def test_images_and_networks_are_laid_out_alike():
    engine = Engine(torch.device("cpu"), torch.float32)
    image, sigma = engine.send(torch.rand(2, 3, 8, 8)), engine.send(torch.rand(2))
    assert image.is_contiguous(memory_format=torch.channels_last)
    assert sigma.is_contiguous()
    assert engine.place(nn.Conv2d(3, 4, 3)).weight.is_contiguous(memory_format=torch.channels_last)
