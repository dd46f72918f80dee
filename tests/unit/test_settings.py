from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from degrain.cli import main
from degrain.errors import DegrainError
from degrain.params import load_params
from degrain.settings import assign
from support import ROOT


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)


def test_values_are_set_and_everything_else_stays() -> None:
    before = Path("params.yaml").read_text(encoding="utf-8").splitlines()
    assert main(["set", "noise.gaussian.train=[0,75]", "train.lr=2e-4", "noise.kind=poisson"]) == 0
    params = load_params()
    assert (params.noise.gaussian.train, params.train.lr, params.noise.kind) == ((0, 75), 2e-4, "poisson")
    after = Path("params.yaml").read_text(encoding="utf-8").splitlines()
    changed = [line for line, old in zip(after, before, strict=True) if line != old]
    assert len(changed) == 3
    assert "\n".join(after).count("#") == "\n".join(before).count("#")


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("train.stps=3", "did you mean train.steps"),
        ("train.steps=3; rm -rf /", "train.steps = '3; rm -rf /'"),
        ("$(id)", "expected KEY=VALUE"),
        ("--force", "expected KEY=VALUE"),
        ("train.steps=", "expected KEY=VALUE"),
        ("train.steps=[", "not valid YAML"),
        ("noise=3", "noise = 3"),
    ],
)
def test_what_is_no_setting_changes_nothing(assignment: str, said: str) -> None:
    before = Path("params.yaml").read_bytes()
    with pytest.raises(DegrainError) as error:
        assign(["seed=5", assignment])
    assert said in str(error.value)
    assert Path("params.yaml").read_bytes() == before
