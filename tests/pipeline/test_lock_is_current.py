"""Every dvc.lock, and the committed reports, belong to the committed code and params."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PIPELINES = ["dvc.yaml", *sorted(str(one.relative_to(ROOT)) for one in ROOT.glob("experiments/**/dvc.yaml"))]
ALWAYS_CHANGED = {"sources"}  # lists what the named sets hold, so it runs every time and says nothing


def stages_to_run(output: str) -> set[str]:
    """The stages that `dvc repro --dry` would run."""
    return set(re.findall(r"^Running stage '(?:.+:)?(.+)':$", output, flags=re.MULTILINE)) - ALWAYS_CHANGED


def committed(path: str) -> bool:
    found = subprocess.run(
        ["git", "cat-file", "-e", f"HEAD:{path}"], cwd=ROOT, capture_output=True, check=False
    )
    return found.returncode == 0


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_dry_run_in_a_clone_has_nothing_to_run(pipeline: str, tmp_path: Path) -> None:
    lock = pipeline.replace(".yaml", ".lock")
    if not committed(lock):
        pytest.skip(f"{lock} is not committed yet: nothing to compare with")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)

    command = [sys.executable, "-m", "dvc", "repro", "--dry", "--allow-missing", pipeline]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)

    advice = f"run dvc repro {pipeline} and commit {lock} and the reports"
    assert done.returncode == 0, f"{advice}\n{done.stderr}"
    assert stages_to_run(done.stdout) == set(), advice
