"""The README: every command in it works, and its figures are those of the reports."""

from __future__ import annotations

import re
import shlex

import pandas as pd
import pytest

from benchmarks.standard.tables import highlights
from degrain.evaluation.tables import result_table
from pipeline_support import Project, write_photo
from support import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.strip().partition("  #")[0].strip()
    for line in re.findall(r"^ {4}((?:git|make|degrain|dvc|source|python) .*)$", README, flags=re.MULTILINE)
]
TRIED_ELSEWHERE = {
    "git clone <this repository> degrain && cd degrain": "how CI gets here",
    "source .venv/bin/activate": "tests run in that environment",
    "dvc exp run --queue -S seed=1 && dvc exp run --queue -S seed=2": "test_experiments.py",
    "dvc queue start": "test_experiments.py",
    "degrain export realistic generator.onnx": "test_export.py",
    "degrain preset colour-benchmark": "test_presets.py",
    "degrain preset colour-sampling": "test_presets.py",
    "degrain denoise photo.png --model models/train/generator.safetensors --samples 8": "test_experiments.py",
    "dvc repro": "test_pipeline.py; with standard sets it needs the network",
    "degrain realism": "test_realism.py",
    "degrain sampling": "test_sampling_evaluation.py",
    "degrain promote --dry-run": "test_gate.py and test_lifecycle.py, as the next four",
    "degrain register": "there",
    "degrain promote": "there",
    "degrain card": "there",
    "degrain rollback": "there",
    "degrain drift incoming/": "test_data_docs.py",
    "degrain serve": "test_serving.py",
    "degrain preset real-noise": "test_presets.py",
    "python -m benchmarks.dial": "takes minutes and the standard sets; its report is committed",
    "python -m benchmarks.sampling": "the same",
    "python benchmarks/repro.py": "takes many minutes; its report is committed",
}


@pytest.fixture
def stocked(project: Project) -> Project:
    """With the files that the README speaks of."""
    for path, name in {"photo.png": "coffee", "scans/a.png": "rocket", "photos/b.png": "chelsea"}.items():
        write_photo(project / path, name, 20, 30)
    return project


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 10
    assert set(TRIED_ELSEWHERE) <= set(COMMANDS)


@pytest.mark.parametrize("command", sorted({c for c in COMMANDS if c.startswith("make ")}))
def test_make_target_exists(command: str, finished: Project) -> None:
    assert finished.command("make", "--dry-run", *command.split()[1:])


def test_commands_work(stocked: Project) -> None:
    tried = [c for c in COMMANDS if c not in TRIED_ELSEWHERE and not c.startswith("make ")]
    assert tried
    for command in tried:
        stocked.command(*shlex.split(command.replace("pretrain.steps=9000", "pretrain.steps=2")))
    assert (stocked / "restored/photo.sample-08.png").is_file()
    assert (stocked / "restored/photo.png").is_file()
    assert (stocked / "restored/a.png").is_file()


def test_python_works(stocked: Project) -> None:
    snippets = [
        code for code in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL) if "<" not in code
    ]
    assert snippets
    for code in snippets:
        checked = f"{code}\nassert denoised.shape == (64, 70, 3) and denoised.dtype == 'uint8'"
        stocked.command("python", "-c", checked)


def written(block: str) -> str:
    """What stands between the marks of a block."""
    found = re.search(rf"<!-- {block}:.*?-->\n(.*?)<!-- /{block} -->", README, flags=re.DOTALL)
    assert found, block
    return found[1].strip()


def test_table_is_that_of_the_reports() -> None:
    assert written("results") == result_table(ROOT / "reports").strip()


def test_table_of_the_standard_sets_is_that_of_the_benchmark() -> None:
    assert written("standard") == highlights(pd.read_csv(ROOT / "reports/benchmark/results.csv"))


def test_table_of_real_photographs_is_that_of_the_experiment() -> None:
    results = pd.read_csv(ROOT / "experiments/learned-noise/reports/results.csv", keep_default_na=False)
    rows = results[results["told"] != "smooth blocks"].itertuples()
    lines = [f"| {row.method} | {row.told} | {row.psnr:.2f} / {row.ssim:.3f} |" for row in rows]
    assert written("real").splitlines()[2:] == lines


def test_files_that_are_named_exist() -> None:
    tree = README.partition("    dvc.yaml  params.yaml ")[2].partition("## ")[0]
    assert tree
    for name in re.findall(r"(?<=[\s(])((?:[\w.]+/)?[\w.]+\.(?:py|md|yaml))(?=[\s,;)])", tree):
        assert list(ROOT.glob(name)) or list((ROOT / "src/degrain").glob(f"**/{name}")), name
    headings = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", README, re.MULTILINE)}
    for link in re.findall(r"\]\(([^):]+)\)", README):
        file, _, heading = link.partition("#")
        assert (ROOT / file).exists(), link
        assert not heading or (not file and heading in headings), link
