from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from degrain import cli
from degrain.files import read_image
from degrain.lifecycle.evaluated import WEIGHTS
from degrain.params import load_params
from degrain.tracking import evaluation_run, training_run
from lifecycle_support import create_data, train
from mlflow_support import enter_project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Two trainings with their evaluations; the second is better."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        enter_project(folder, patch)
        patch.setenv("TQDM_DISABLE", "1")
        for name, worse, lr in (("first", 0.1, 0.001), ("second", 0.0, 0.002)):
            create_data(folder, {"train": {"lr": lr}})
            patch.setenv("DVC_EXP_NAME", name)
            train(worse)
            params = load_params()
            with training_run("train", params, Path(name), data=[]) as run:
                run.log_metrics(1, {"pixel": lr})
                run.log_generator(WEIGHTS)
            with evaluation_run(params, WEIGHTS, data=[]) as run:
                run.log_metrics(0, {"psnr/sigma_25/adversarial": 1000 * lr + 28})
        yield folder


def compare(project, monkeypatch, capsys, *arguments, code=0):
    monkeypatch.chdir(project)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert cli.main(["compare", *arguments]) == code
    return capsys.readouterr()


def test_what_differs_stands_side_by_side(project, monkeypatch, capsys, tmp_path):
    said = compare(project, monkeypatch, capsys, "train (first)", "train (second)", "-o", str(tmp_path)).out
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in said.splitlines() if "|" in line
    ]
    assert ["train.lr", "0.001", "0.002"] in cells
    assert ["pixel", "0.001", "0.002", "+0.001"] in cells
    assert ["psnr/sigma_25/adversarial", "29", "30", "+1"] in cells  # of the evaluation below
    assert "train.steps" not in said
    every = compare(
        project, monkeypatch, capsys, "train (first)", "train (second)", "--all", "-o", str(tmp_path)
    )
    assert "train.steps" in every.out


def test_images_that_changed_most_are_drawn(project, monkeypatch, capsys, tmp_path):
    """An evaluation has the model of its training."""
    runs = ("evaluate (first)", "evaluate (second)")
    said = compare(project, monkeypatch, capsys, *runs, "-o", str(tmp_path)).out
    lines = re.findall(r"(\w+), sigma_(\d+): ([\d.]+) -> ([\d.]+) dB, ([\d.]+)/255 apart: (.*)", said)
    assert {line[0] for line in lines} == {"astronaut", "chelsea"}
    assert all(float(after) > float(before) for _, _, before, after, _, _ in lines)
    apart = [float(line[4]) for line in lines]
    assert apart == sorted(apart, reverse=True)
    for line in lines:
        assert np.ptp(read_image(Path(line[5]))) == 1
    one = compare(project, monkeypatch, capsys, *runs, "-o", str(tmp_path / "one"), "--images", "1")
    assert [path.name for path in (tmp_path / "one").iterdir()] == [f"{lines[0][0]}_sigma_{lines[0][1]}.png"]
    assert one.out.count(" apart: ") == 1


def test_run_is_known_by_the_beginning_of_its_id(project, monkeypatch, capsys, tmp_path):
    missing = compare(project, monkeypatch, capsys, "nothing", "train (first)", code=2).err
    assert "run 'nothing': not found" in missing
    run_id = re.findall(r"train \(first\) ([0-9a-f]{8})", missing)[0]
    said = compare(project, monkeypatch, capsys, run_id, run_id, "-o", str(tmp_path)).out
    assert "No params differ." in said
    assert " 0.00/255 apart" in said
