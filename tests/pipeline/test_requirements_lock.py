"""The lock serves every machine alike: no index, no build of torch, no package that only one build wants."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
PINS = [line.split("#")[0].strip() for line in LOCK.splitlines() if not line.lstrip().startswith("#")]


def normal(name: str) -> str:
    """A package's name as indices compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> set[str]:
    return {normal(pin.split("==")[0]) for pin in PINS}


def test_every_line_is_one_exact_version() -> None:
    assert [pin for pin in PINS if not re.fullmatch(r"[\w.-]+==[\w.]+( ; .+)?", pin)] == []


def test_torch_is_pinned_without_a_build() -> None:
    assert "torch==2.13.0" in PINS


def test_libraries_of_the_cuda_build_are_left_to_it() -> None:
    assert [name for name in locked() if re.match(r"nvidia-|cuda-|triton", name)] == []


def test_lock_names_no_index_and_no_folder() -> None:
    assert re.findall(r"https?:|file:|^-.*|/\w+/", LOCK, flags=re.MULTILINE) == []


def test_everything_that_pyproject_asks_for_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]

    missing = {normal(re.split(r"[<>=!~ ;\[]", requirement)[0]) for requirement in asked} - locked()

    assert missing == set(), "run make lock"
