"""dvc.yaml declares every package file that a stage runs, and no other."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import grimp
import pytest
import yaml

from support import ROOT

# What an experiment's own params say, whatever stands at the top.
OWN = {"data.channels", "data.min_side", "data.register_pairs"}
# No change in these can change an output.
WITHOUT_EFFECT = {
    "degrain": "the version",
    "degrain.stages._main": "how a stage starts, and how its errors are printed",
    "degrain.stages._alone": "makes a second run wait",
    "degrain.errors": "what errors are called",
    "degrain.params": "checks the values, which DVC follows itself",
    "degrain.section": "likewise",
    "degrain.model_params": "likewise",
    "degrain.training_params": "likewise",
    "degrain.noise_params": "likewise",
    "degrain.check_params": "likewise",
    "degrain.noise_model_params": "likewise",
    "degrain.generation_params": "likewise",
    "degrain.stabiliser_params": "likewise",
    "degrain.promote_params": "likewise",
    "degrain.health_params": "likewise",
    "degrain.sampling_params": "likewise",
    "degrain.training.progress": "a line on the screen",
    "degrain.tracking": "MLflow is a view, never the source of truth",
}
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


READ = {name: {*stage["params"]} for name, stage in STAGES.items()} | {
    "noise_model": {"seed", "compute", "data.channels", "noise_model"}
}


@cache
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("degrain", exclude_type_checking_imports=True)


def packages_of(module: str) -> set[str]:
    """a.b.c -> a, a.b: importing a module runs the packages it lies in."""
    parts = module.split(".")
    return {".".join(parts[:count]) for count in range(1, len(parts))}


def runs(*modules: str) -> set[str]:
    """Every module that some import, directly or not, less those without effect."""
    found, ahead = set(), {*modules}
    while ahead:
        module = ahead.pop()
        if module not in found and not _is_without_effect(module):
            found.add(module)
            ahead |= imports().find_modules_directly_imported_by(module) | packages_of(module)
    return found


def _is_without_effect(module: str) -> bool:
    return (
        module in WITHOUT_EFFECT or module.startswith("degrain.tracking.") or _says_nothing(path_of(module))
    )


def _says_nothing(path: str) -> bool:
    """Whether a file holds a docstring alone."""
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    return all(isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant) for part in body)


def path_of(module: str) -> str:
    path = "src/" + module.replace(".", "/")
    return f"{path}/__init__.py" if (ROOT / path).is_dir() else f"{path}.py"


def declared(stage: str) -> set[str]:
    """The code among a stage's deps, folders unfolded."""
    return code(STAGES[stage]["deps"])


def code(deps: Iterable[str]) -> set[str]:
    """The package's files among deps, relative to the top."""
    found = set()
    for path in deps:
        if path.startswith("src/") and not path.endswith(".safetensors"):
            files = (ROOT / path).rglob("*.py") if (ROOT / path).is_dir() else [ROOT / path]
            found |= {file.relative_to(ROOT).as_posix() for file in files}
    return {path for path in found if not _says_nothing(path)}


def experiments() -> Iterator[tuple[str, str, list[str]]]:
    """(name, command, deps relative to the top) of every stage of the experiments."""
    for pipeline in sorted(ROOT.glob("experiments/**/dvc.yaml")):
        for name, stage in yaml.safe_load(pipeline.read_text(encoding="utf-8"))["stages"].items():
            body = stage.get("do", stage)
            folder = pipeline.parent / body.get("wdir", ".")
            deps = [os.path.relpath(os.path.normpath(folder / path), ROOT) for path in body["deps"]]
            yield f"{pipeline.parent.name}: {name}", body["cmd"], [os.fspath(path) for path in deps]


def entries(command: str, deps: list[str]) -> set[str]:
    """The modules of ours that a command starts with."""
    if module := re.search(r"-m (degrain\S*)", command):
        return {module[1]}
    script = next(path for path in deps if path.endswith(Path(command.split()[-1]).name))
    tree = ast.parse((ROOT / script).read_text(encoding="utf-8"))
    imported = [part for part in ast.walk(tree) if isinstance(part, ast.ImportFrom) and part.module]
    names = {f"{part.module}.{alias.name}" for part in imported for alias in part.names}
    return {part.module for part in imported if part.module.startswith("degrain")} | names & imports().modules


@pytest.mark.parametrize(
    ("name", "command", "deps"), [pytest.param(*one, id=one[0]) for one in experiments()]
)
def test_experiments_declare_all_that_they_run(name: str, command: str, deps: list[str]) -> None:
    """More may be declared: an experiment may run again too often, but not too seldom."""
    real = {path_of(module) for module in runs(*entries(command, deps))}
    assert not sorted(real - code(deps)), name


def followed(params: Iterable[str | dict[str, list[str]]]) -> set[str]:
    """The keys among a stage's params, of whichever file."""
    return {key for one in params for key in ([one] if isinstance(one, str) else chain(*one.values()))}


@pytest.mark.parametrize("pipeline", sorted(ROOT.glob("experiments/learned-noise/**/dvc.yaml")), ids=str)
def test_experiments_follow_the_params_of_the_stages_that_they_run(pipeline: Path) -> None:
    """Those at the top, on which an experiment's own params build, and its own where it has some of them."""
    stages = yaml.safe_load(pipeline.read_text(encoding="utf-8"))["stages"].values()
    said = yaml.safe_load((ROOT / "experiments/learned-noise/params.yaml").read_text(encoding="utf-8"))
    for stage in (stage.get("do", stage) for stage in stages if not stage.get("always_changed")):
        asked = set().union(
            *(READ[Path(path).stem] for path in stage["deps"] if "src/degrain/stages/" in path)
        )
        by_file = [
            one if isinstance(one, dict) else {"params.yaml": [one]} for one in stage.get("params", [])
        ]
        keys = [
            (_is_top(pipeline, stage, file), key) for one in by_file for file, of in one.items() for key in of
        ]
        for is_top, wanted in (
            (True, asked - OWN),
            (False, {key for key in asked if key.split(".")[0] in said}),
        ):
            found = {key for top, key in keys if top == is_top}
            missing = sorted(key for key in wanted if not _within(key, found))
            assert not missing, (stage["cmd"], "at the top" if is_top else "of its own", missing)


def _is_top(pipeline: Path, stage: dict[str, str], file: str) -> bool:
    return (pipeline.parent / stage.get("wdir", ".").replace("${key}", "learned") / file).resolve() == (
        ROOT / "params.yaml"
    )


def _within(key: str, sections: set[str]) -> bool:
    return any(key == section or key.startswith(f"{section}.") for section in sections)


@pytest.mark.parametrize("stage", STAGES)
def test_declared_deps_are_the_real_imports(stage: str) -> None:
    real = {path_of(module) for module in runs(f"degrain.stages.{stage}")}
    assert declared(stage) == real, "\n".join(
        ["deps of this stage in dvc.yaml should be:", *sorted(f"      - {path}" for path in real)]
    )


def test_what_a_change_reruns() -> None:
    """The promises made to users about what an edit costs."""

    def rerun_by(path: str) -> set[str]:
        return {stage for stage in STAGES if path in declared(stage)}

    assert "pretrain" not in rerun_by("src/degrain/models/discriminators.py")
    assert "train" in rerun_by("src/degrain/models/discriminators.py")
    assert rerun_by("src/degrain/evaluation/pictures.py") == {"evaluate"}
    assert {"pretrain", "train"} <= rerun_by("src/degrain/models/unet.py")
    assert not rerun_by("src/degrain/models/unet.py") & {"sources", "download", "synthesize"}


def test_another_mirror_reruns_nothing() -> None:
    for stage, declared_ in STAGES.items():
        assert not {"data", "data.mirror"} & {*declared_["params"]}, stage
