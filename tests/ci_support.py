"""What runs a workflow's own commands: its YAML read, its expressions worked out, its jobs in scratch clones.

The forge is a bare repository and the one stand-in of these tests, a tiny `gh` that records what it was
asked; steps that use an action are done here (a checkout is a clone, an upload a copy) or left out.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from support import ROOT

WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/retrain.yml").read_text(encoding="utf-8"))
REPOSITORY = "owner/photos"
MARKER = "<!-- degrain report -->"
GH = '''#!{python}
"""Stands in for GitHub's command line tool: answers what .ci/retrain asks, and records it."""

import json, os, shutil, sys
from pathlib import Path

state, words = Path(os.environ["GH_STATE"]), sys.argv[1:]
with (state / "calls").open("a") as calls:
    calls.write(json.dumps(words) + "\\n")


def load(name):
    file = state / name
    return json.loads(file.read_text()) if file.exists() else []


def store(name, values):
    (state / name).write_text(json.dumps(values))


def field(name):
    value = next(word for word in words if word.startswith(name + "=")).partition("=")[2]
    return Path(value[1:]).read_text() if value.startswith("@") else value


if words[:2] == ["run", "download"]:
    shutil.copytree(state / "artifacts" / words[words.index("--name") + 1], words[-1], dirs_exist_ok=True)
elif words[0] == "api":
    path = next(word for word in words[1:] if word.startswith("repos/")).removeprefix("repos/{repository}/")
    sends = any(word in ("-f", "-F") for word in words) and "GET" not in words
    kind, _, rest = path.partition("/")
    pulls, comments = load("pulls"), load("comments")
    if kind == "actions":
        print("7" if (state / "artifacts/mlflow-store").exists() else "")
    elif kind == "pulls" and sends:
        store("pulls", [*pulls, [field("head"), "open"]])
        print(len(pulls) + 1)
    elif kind == "pulls":
        wanted = [field("head").removeprefix("owner:"), field("state")]
        print(*[number for number, one in enumerate(pulls, 1) if one == wanted])
    elif kind == "issues" and rest.startswith("comments/"):
        comments[int(rest.partition("/")[2])][1] = field("body")
        store("comments", comments)
    elif kind == "issues" and sends:
        store("comments", [*comments, [rest.partition("/")[0], field("body")]])
    elif kind == "issues":
        number = rest.partition("/")[0]
        for index, (pull, body) in enumerate(comments):
            if pull == number and body.startswith("{marker}"):
                print(index)
    elif kind == "statuses":
        store("statuses", [*load("statuses"), field("state")])
'''


def evaluate(text: object, contexts: dict[str, Any]) -> Any:
    """What the expressions in a value of the workflow come to."""
    if not isinstance(text, str):
        return text
    whole = re.fullmatch(r"\$\{\{(.+)\}\}", text)
    if whole:
        return _expression(whole[1], contexts)
    return re.sub(r"\$\{\{(.+?)\}\}", lambda found: str(_expression(found[1], contexts)), text)


def _expression(text: str, contexts: dict[str, Any]) -> Any:
    python = text.strip().replace("&&", " and ").replace("||", " or ")
    named = re.sub(r"(?<!['\w/])[a-z]+(\.\w+)+", lambda found: repr(_look_up(found[0], contexts)), python)
    return eval(named)


def _look_up(name: str, contexts: dict[str, Any]) -> Any:
    value: Any = contexts
    for part in name.split("."):
        value = value.get(part, "") if isinstance(value, dict) else ""
    return value


def lend_packages(clone: Path) -> None:
    """Let `make setup` find the packages that run these tests."""
    (clone / ".venv").mkdir()
    for part in ("bin", "include", "lib", "lib64", "pyvenv.cfg"):
        if (Path(sys.prefix) / part).exists():
            (clone / ".venv" / part).symlink_to(Path(sys.prefix) / part)
    (clone / ".venv/installed").touch()


@dataclass
class Forge:
    """What GitHub is to the workflow.

    Attributes
    ----------
    origin : a bare repository.
    secrets, variables : as the settings of a repository have them.
    """

    folder: Path
    origin: Path
    secrets: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    runs: int = 0

    def __post_init__(self) -> None:
        self.state = self.folder / "gh"
        (self.state / "artifacts").mkdir(parents=True)
        tool = self.folder / "bin/gh"
        tool.parent.mkdir()
        source = GH.replace("{python}", sys.executable).replace("{repository}", REPOSITORY)
        tool.write_text(source.replace("{marker}", MARKER), encoding="utf-8")
        tool.chmod(0o755)

    def said(self, name: str) -> Any:
        """What gh was made to keep: pulls, comments or statuses."""
        file = self.state / name
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else []

    def close_pulls(self) -> None:
        """What merging does to them."""
        closed = [[head, "merged"] for head, _ in self.said("pulls")]
        (self.state / "pulls").write_text(json.dumps(closed), encoding="utf-8")

    def calls(self) -> list[list[str]]:
        """What gh was asked, in order."""
        file = self.state / "calls"
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]

    def run(self, event: str, branch: str = "main", **payload: Any) -> dict[str, dict[str, str]]:
        """Run the workflow for an event; the outputs of every job that ran."""
        self.runs += 1
        contexts: dict[str, Any] = {
            "github": {
                "ref": f"refs/heads/{branch}",
                "run_id": str(self.runs),
                "token": "a token",
                "event": payload,
            },
            "inputs": payload.get("inputs", {}),
            "secrets": self.secrets,
            "vars": self.variables,
            "needs": {},
        }
        about = {"GITHUB_EVENT_NAME": event, "GITHUB_REF_NAME": branch, "GITHUB_RUN_ID": str(self.runs)}
        for name, job in WORKFLOW["jobs"].items():
            if _expression(job.get("if", "True"), contexts):
                clone = self.checkout(f"run-{self.runs}-{name}", branch)
                contexts["needs"][name] = {"outputs": self._job(job, clone, contexts, about)}
        return {name: job["outputs"] for name, job in contexts["needs"].items()}

    def _job(
        self, job: dict[str, Any], clone: Path, contexts: dict[str, Any], about: dict[str, str]
    ) -> dict[str, str]:
        steps: dict[str, Any] = {}
        for step in job["steps"]:
            layers = (WORKFLOW.get("env", {}), job.get("env", {}), step.get("env", {}))
            wanted = {key: str(evaluate(value, contexts)) for layer in layers for key, value in layer.items()}
            if "run" in step:
                _, outputs = self.command(step["run"], clone, **about, **wanted)
                steps[step.get("id", "")] = {"outputs": outputs}
            elif step["uses"].startswith("actions/upload-artifact@"):
                self.upload(clone, **step["with"])
        outputs = job.get("outputs", {})
        return {key: evaluate(value, contexts | {"steps": steps}) for key, value in outputs.items()}

    def checkout(self, name: str, branch: str = "main") -> Path:
        """A fresh clone, with the packages."""
        clone = self.folder / name
        command = ["git", "clone", "--quiet", "--branch", branch, str(self.origin), str(clone)]
        subprocess.run(command, check=True)
        lend_packages(clone)
        return clone

    def command(
        self, script: str, clone: Path, *, code: int = 0, **variables: str
    ) -> tuple[str, dict[str, str]]:
        """What a step's command, which must end with `code`, prints and hands on."""
        file, output = self.folder / "step.sh", self.folder / "output"
        file.write_text(script, encoding="utf-8")
        output.write_text("", encoding="utf-8")
        done = subprocess.run(
            ["bash", "-e", str(file)],
            cwd=clone,
            env=self._environment(clone) | variables | {"GITHUB_OUTPUT": str(output)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        with (self.folder / "log").open("a", encoding="utf-8") as log:
            log.write(f"--- {clone.name}: {script}\n{done.stdout}\n")
        assert done.returncode == code, f"{script} ended with {done.returncode}:\n{done.stdout}"
        lines = output.read_text(encoding="utf-8").splitlines()
        return done.stdout, dict(line.split("=", 1) for line in lines)

    def _environment(self, clone: Path) -> dict[str, str]:
        prefixes = ("MLFLOW_", "DVC_", "GIT_", "PYTHON", "GITHUB_", "CI", "AWS_")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
        return clean | {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(clone / "src"),  # as if the package were installed from this clone
            "DVC_SITE_CACHE_DIR": str(clone / ".dvc/tmp/site"),
            "OMP_NUM_THREADS": "1",
            "GH_STATE": str(self.state),
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_REF_NAME": "main",
            "GITHUB_EVENT_NAME": "push",
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
        }

    def upload(self, clone: Path, name: str, path: str, **_: object) -> None:
        """Keep files of a clone as an artifact."""
        found = [clone / line for line in path.splitlines() if (clone / line).exists()]
        shutil.rmtree(self.state / "artifacts" / name, ignore_errors=True)
        for file in found:
            (self.state / "artifacts" / name).mkdir(exist_ok=True)
            shutil.copy(file, self.state / "artifacts" / name)
