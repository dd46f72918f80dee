"""The package works outside its repository: built as a wheel, installed, and run from elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from skimage import data, io
from skimage.metrics import peak_signal_noise_ratio

ROOT = Path(__file__).resolve().parents[2]


def run(command: list[str | Path], cwd: Path) -> str:
    """Standard output of a command that sees neither the source tree nor the caller's settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that nothing is left in the source tree or taken from it by mistake."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copytree(
        ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__", ".*_cache")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation"]
    run([*pip, "--wheel-dir", tree / "dist", "."], tree)
    (built,) = (tree / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def prefix(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel; the dependencies come from the environment of this test."""
    prefix = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(prefix, symlinks=True)
    site_packages = prefix / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", prefix / "bin" / "python", "install"]
    run([*pip, "--no-deps", "--no-index", wheel], prefix)
    return prefix


def test_wheel_holds_every_module_and_data_file(wheel: Path) -> None:
    source = ROOT / "src" / "degrain"
    expected = {
        path.relative_to(ROOT / "src").as_posix()
        for pattern in ("*.py", "*.csv", "*.html", "py.typed", "weights/*")
        for path in source.rglob(pattern)
    }
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    assert packed == expected
    assert "degrain/py.typed" in packed


def test_wheel_is_imported_rather_than_the_source_tree(prefix: Path, tmp_path: Path) -> None:
    where = run([prefix / "bin" / "python", "-c", "import degrain; print(degrain.__file__)"], tmp_path)

    assert Path(where.strip()).is_relative_to(prefix)


def test_command_of_the_wheel_shows_its_help(prefix: Path, tmp_path: Path) -> None:
    assert "usage: degrain" in run([prefix / "bin" / "degrain", "--help"], tmp_path)


def test_wheel_restores_a_colour_photograph_without_being_told_anything(prefix: Path, tmp_path: Path) -> None:
    clean = data.astronaut()[:192, :192]
    noise = np.random.default_rng(0).normal(0, 25, clean.shape)
    noisy = (clean + noise).clip(0, 255).round().astype(np.uint8)
    io.imsave(tmp_path / "photo.png", noisy)

    run([prefix / "bin" / "degrain", "denoise", "photo.png"], tmp_path)

    restored = io.imread(tmp_path / "restored" / "photo.png")
    before, after = (peak_signal_noise_ratio(clean, image) for image in (noisy, restored))
    assert restored.dtype == noisy.dtype
    assert after > before + 8
