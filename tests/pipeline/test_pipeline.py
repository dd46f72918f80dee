"""`dvc repro`: what it makes, what it repeats, what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import yaml

from pipeline_support import PHOTOS, STAGES, Project, stages_run, write_photo

METHODS = {
    *("noisy", "mean", "median", "gaussian", "bilateral", "total_variation", "wavelet", "non_local_means"),
    *("pretrained", "adversarial"),
}
MADE = ("data", "models", "reports", "dvc.lock")


def declared_outputs(project: Project) -> list[str]:
    stages = yaml.safe_load((project / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    entries = [
        entry
        for stage in stages.values()
        for kind in ("outs", "metrics", "plots")
        for entry in stage.get(kind, [])
    ]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def test_first_run_makes_every_declared_output(first_run: tuple[Project, str]) -> None:
    project, output = first_run
    assert stages_run(output) == list(STAGES)
    assert len(declared_outputs(project)) >= 12
    for path in declared_outputs(project):
        assert project.hashes(path), f"{path} is missing or empty"


def test_metrics_have_every_method_at_every_level(finished: Project) -> None:
    metrics = json.loads((finished / "reports/metrics.json").read_text(encoding="utf-8"))
    assert metrics.keys() == {"methods"}
    assert metrics["methods"].keys() == METHODS
    for method, levels in metrics["methods"].items():
        assert levels.keys() == {"sigma_25", "sigma_50"}, method
        for measures in levels.values():
            assert measures.keys() == {"psnr", "ssim"}
            assert 5 < measures["psnr"] < 60
            assert 0 < measures["ssim"] < 1
    noisy = metrics["methods"]["noisy"]
    assert noisy["sigma_50"]["psnr"] < noisy["sigma_25"]["psnr"]
    results = pd.read_csv(finished / "reports/results.csv")
    assert len(results) == len(PHOTOS["test"]) * len(METHODS) * 2


def test_git_sees_only_the_lock_and_the_reports(finished: Project) -> None:
    changed = {line[3:] for line in finished.git("status", "--short", "-uall").splitlines()}
    pictures = {path for path in changed if path.startswith("reports/pictures/")}
    reports = (
        "contact_sheet.png",
        "curves/pretrain.csv",
        "curves/train.csv",
        "metrics.json",
        "results.csv",
        "dial.csv",
        "dial.png",
        "reference.csv",
    )
    files = {f"reports/{name}" for name in (*reports, "speed.json", "table.md")}
    assert len(pictures) == len(PHOTOS["test"])
    assert changed - pictures == files | {"dvc.lock"}


def test_dvc_shows_metrics_and_plots(finished: Project, tmp_path: Path) -> None:
    shown = json.loads(finished.dvc("metrics", "show", "--json"))[""]["data"]
    written = json.loads((finished / "reports/metrics.json").read_text(encoding="utf-8"))
    assert shown["reports/metrics.json"]["data"] == written
    assert shown["reports/speed.json"]["data"]["mpx_per_s"].keys() == METHODS

    finished.dvc("plots", "show", "--out", str(tmp_path / "plots"))
    page = (tmp_path / "plots/index.html").read_text(encoding="utf-8")
    losses = ("pixel loss of pretraining", "loss of the discriminator", "losses of the generator")
    for title in (
        *losses,
        "PSNR on the validation set",
        "contact_sheet.png",
        "from faithful to realistic",
        "dial.png",
        "noise level of the validation and test images by brightness",
    ):
        assert title in page
    for picture in (finished / "reports/pictures").iterdir():
        assert picture.name in page


def test_second_run_only_lists_the_sources_and_forced_training_gives_the_same_bytes(project: Project) -> None:
    before = project.hashes(*MADE)
    assert stages_run(project.dvc("repro")) == ["sources"]
    assert project.hashes(*MADE) == before

    shutil.rmtree(project / "models/train")
    (project / "reports/curves/train.csv").unlink()
    assert stages_run(project.dvc("repro", "--force", "--single-item", "train")) == ["train"]
    assert project.hashes(*MADE) == before


def test_changed_setting_of_train_repeats_neither_data_nor_pretraining(project: Project) -> None:
    before, reports = project.hashes("models"), project.hashes("reports/curves", "reports/metrics.json")
    project.change_params({"train": {"adversarial": {"weight": 0.5}}})
    assert stages_run(project.dvc("repro")) == ["sources", "train", "evaluate"]

    after = project.hashes("models")
    changed = {path for path in before if before[path] != after[path]}
    assert changed == {"models/train/generator.safetensors", "models/train/discriminator.safetensors"}

    project.git("checkout", "--quiet", "params.yaml")
    assert stages_run(project.dvc("repro")) == ["sources", "evaluate"]  # the training is remembered
    assert project.hashes("models") == before
    assert project.hashes("reports/curves", "reports/metrics.json") == reports


def test_files_of_a_folder_set_are_followed_and_bad_ones_named(project: Project) -> None:
    write_photo(project / "images/train/added.png", "immunohistochemistry", 100, 100)
    whole = (project / "images/test/astronaut.png").read_bytes()
    (project / "images/train/broken.png").write_bytes(whole[: len(whole) // 2])
    output = project.dvc("repro", "download")
    assert stages_run(output) == ["sources", "download"]
    assert "3 train, 1 val, 1 test images; 1 rejected" in output

    (rejected,) = pd.read_csv(project / "data/raw/rejected.csv").itertuples()
    assert (rejected.split, rejected.name) == ("train", "broken")
    assert "truncated" in rejected.reason
    kept = pd.read_csv(project / "data/raw/manifest.csv")
    assert list(kept.name[kept.split == "train"]) == ["added", "coffee", "rocket"]
    assert not (project / "data/raw/train/broken.png").exists()


def test_split_without_a_good_image_fails_and_says_why(project: Project) -> None:
    photo = project / "images/val/chelsea.png"
    whole = photo.read_bytes()
    photo.write_bytes(b"not an image")
    output = project.dvc("repro", code=255)
    assert stages_run(output) == ["sources", "download"]
    assert "data.val: no image left of 1 (1 unreadable)" in output
    assert "Traceback" not in output

    photo.write_bytes(whole)
    assert stages_run(project.dvc("repro")) == ["sources"]
