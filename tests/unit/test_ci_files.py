"""The CIs' files: valid, safe as far as tools can tell, and alike."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import ROOT

BIN = Path(sys.executable).parent
GITHUB = sorted((ROOT / ".github/workflows").glob("*.yml"))
GITLAB = ROOT / ".gitlab-ci.yml"
# The hashes that public projects record for these versions.
PINNED = {
    "actions/checkout": "08c6903cd8c0fde910a37f88322edcfb5dd907a8",
    "actions/setup-python": "e797f83bcb11b83ae66e0230d6156d7c80228e7c",
    "actions/cache": "0057852bfaa89a56745cba8c7296529d2fc39830",
    "actions/upload-artifact": "ea165f8d65b6e75b540449e92b4886f43607fa02",
}


def run(*command: str) -> None:
    done = subprocess.run([BIN / command[0], *command[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def steps() -> list[dict[str, Any]]:
    found = []
    for file in GITHUB:
        for job in yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"].values():
            found += job["steps"]
    return found


def retrain() -> dict[str, Any]:
    return yaml.safe_load((ROOT / ".github/workflows/retrain.yml").read_text(encoding="utf-8"))


def steps_of_script(text: str) -> list[str]:
    return " ".join(re.findall(r"bash \.ci/retrain (.+)", text)).split()


def test_workflows_fit_githubs_schema() -> None:
    run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, GITHUB))


def test_twin_fits_gitlabs_schema() -> None:
    transform = ("--data-transform", "gitlab-ci")
    run("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", *transform, str(GITLAB))


def test_auditor_finds_nothing_unsafe() -> None:
    run("zizmor", "--offline", "--quiet", str(ROOT / ".github/workflows"))


def test_actions_are_pinned_by_the_known_hashes() -> None:
    used = [step["uses"].split("@") for step in steps() if "uses" in step]
    assert {name for name, _ in used} <= PINNED.keys()
    assert all(PINNED[name] == pin for name, pin in used)


def test_no_expression_stands_in_a_command() -> None:
    """What somebody types into a form, or names a branch, must reach no shell as code."""
    assert [step["run"] for step in steps() if "${{" in step.get("run", "")] == []


def test_only_the_job_without_training_may_write() -> None:
    jobs = retrain()["jobs"]
    assert retrain()["permissions"] == {}
    writing = {name for name, job in jobs.items() if "write" in job["permissions"].values()}
    assert writing == {"propose"}
    commands = [step["run"] for step in jobs["propose"]["steps"] if "run" in step]
    assert not [command for command in commands if "make" in command or "python" in command]


def test_own_branches_start_nothing() -> None:
    triggers = retrain()[True]  # YAML 1.1 takes the word `on` for true
    assert triggers["push"]["branches-ignore"] == ["retrain/**"]
    assert "PROPOSED=retrain/$BRANCH" in (ROOT / ".ci/retrain").read_text(encoding="utf-8")


def test_no_training_that_waits_ends_a_proposal() -> None:
    """Of the jobs of a group that wait, GitHub cancels all but the newest."""
    jobs = retrain()["jobs"]
    groups = {name: job["concurrency"]["group"] for name, job in jobs.items()}
    assert groups["propose"] not in (groups["retrain"], groups["promote"])
    assert groups["retrain"] == groups["promote"]  # both change MLflow's store
    assert not any(job["concurrency"]["cancel-in-progress"] for job in jobs.values())


@pytest.mark.parametrize("job", ["retrain", "propose", "promote"])
def test_both_forges_take_the_same_steps(job: str) -> None:
    ours = [step["run"] for step in retrain()["jobs"][job]["steps"] if "run" in step]
    gitlab = yaml.load(GITLAB.read_text(encoding="utf-8"), Loader=_Lenient)
    theirs = gitlab[job]["script"]
    # GitLab keeps MLflow's store in its cache, so that no step packs it.
    assert [step for step in steps_of_script("\n".join(ours)) if step != "keep"] == steps_of_script(
        "\n".join(theirs)
    )


class _Lenient(yaml.SafeLoader):
    """GitLab's own tags are no concern here."""


_Lenient.add_multi_constructor("!", lambda loader, suffix, node: None)
