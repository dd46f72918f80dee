from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from degrain import cli
from degrain.errors import DegrainError
from degrain.files import read_image, sha256_file
from degrain.lifecycle import moves
from degrain.lifecycle.evaluated import REFERENCE, WEIGHTS
from degrain.tracking.registry import Registry
from lifecycle_support import create_data, evaluate, train
from mlflow_support import enter_project
from pipeline_support import shoot
from support import ROOT

HISTORY = Path("reports/promotions.csv")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose first, poor model has been evaluated."""
    enter_project(tmp_path, monkeypatch)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    create_data(tmp_path)
    train(worse=0.2)
    return tmp_path


def client():
    import mlflow

    return mlflow.MlflowClient(f"sqlite:///{Path.cwd() / 'mlflow.db'}")


def versions():
    found = client().search_model_versions("name = 'degrain-rgb'")
    return {str(one.version): one for one in found}


def aliases():
    return {
        alias: str(number) for alias, number in client().get_registered_model("degrain-rgb").aliases.items()
    }


def history():
    with HISTORY.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def degrain(*arguments, code=0):
    assert cli.main(arguments) == code


# Registration


def test_same_model_is_one_version_with_its_hashes_and_results(project, capsys):
    degrain("register")
    degrain("register")
    assert [line for line in capsys.readouterr().out.splitlines() if line] == [
        "degrain-rgb version 1: registered",
        "degrain-rgb version 1: registered already; tags and card are up to date",
    ]
    [version] = versions().values()
    results = json.loads(Path("reports/metrics.json").read_text())["methods"]["adversarial"]
    psnr, ssim = (results["sigma_25"][key] for key in ("psnr", "ssim"))
    assert version.tags["model.sha256"] == sha256_file(WEIGHTS)
    assert version.tags["evaluation.sigma_25"] == f"{psnr:.4f} dB, SSIM {ssim:.4f}"
    assert version.tags["dvc.md5.data/raw"].endswith(".dir")
    assert re.fullmatch("[0-9a-f]{64}", version.tags["dvc.params.sha256"])
    run = client().get_run(version.run_id)
    assert (run.info.status, run.data.tags["model.sha256"]) == ("FINISHED", sha256_file(WEIGHTS))
    train(worse=0.1)
    degrain("register")
    assert set(versions()) == {"1", "2"}


def test_model_that_its_training_has_logged_is_registered_from_there(project, make_params):
    from degrain.tracking import training_run

    with training_run("train", make_params(), Path(".checkpoints/train/key"), data=[]) as run:
        run.log_generator(WEIGHTS)
    degrain("register")
    [version] = versions().values()
    assert client().get_run(version.run_id).info.run_name == "train"
    [experiment] = client().search_experiments(filter_string="name = 'degrain'")
    assert len(client().search_runs([experiment.experiment_id])) == 1


def test_card_shows_results_hashes_failures_and_limits(project, capsys):
    import mlflow

    degrain("register")
    capsys.readouterr()
    degrain("card")
    card = capsys.readouterr().out
    assert card.startswith("# degrain-rgb version 1\n")
    for text in (
        sha256_file(WEIGHTS),
        "| noisy |",
        "## Limits",
        "2 test images",
        "pretrain:",
        "`data/raw`: md5",
    ):
        assert text in card
    version = versions()["1"]
    folder = Path(mlflow.artifacts.download_artifacts(run_id=version.run_id, artifact_path="model_card"))
    pictures = re.findall(r"!\[.*\]\((.*)\)", card)
    assert sorted(pictures) == ["worst/astronaut_sigma_50.png", "worst/chelsea_sigma_50.png"]
    assert all(read_image(folder / picture).shape[1] > 300 for picture in pictures)
    assert version.description.startswith("# degrain-rgb version 1\n")
    assert len(version.description) <= 5000
    degrain("card", "7", code=2)
    assert "has no version '7'; expected one of: 1" in capsys.readouterr().err


def test_drift_is_told_by_what_the_champion_was_made_for(project, capsys):
    """Not by the last run of the pipeline, whose model may have been refused."""
    degrain("promote")
    made_for = REFERENCE.read_bytes()
    REFERENCE.write_text("name\nof another model\n")
    shoot(Path("incoming"), 90, 16)
    champion = ("--reference", "models:/degrain-rgb@champion")
    degrain("drift", "incoming", *champion, code=4)
    assert "16 images beside 4 of models:/degrain-rgb@champion" in capsys.readouterr().out
    for version in ("/2", "@previous"):
        degrain("drift", "incoming", "--reference", f"models:/degrain-rgb{version}", code=2)
    errors = capsys.readouterr().err
    assert "`degrain register` keeps one with each version" in errors
    assert "degrain-rgb@previous: no such model or alias" in errors
    degrain("register", code=2)
    assert "dvc.lock: reports/reference.csv has md5" in capsys.readouterr().err
    REFERENCE.write_bytes(made_for)
    degrain("register")


def test_card_that_is_not_there_is_an_error(registry, capsys):
    Path("params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    degrain("card", code=2)
    assert "degrain-rgb version 2: its model card cannot be had" in capsys.readouterr().err
    for number in "12":
        registry.client.delete_model_version("degrain-rgb", number)
    degrain("card", code=2)
    assert "degrain-rgb has no version yet" in capsys.readouterr().err


def test_only_an_evaluated_model_is_registered(project, capsys):
    WEIGHTS.write_bytes(WEIGHTS.read_bytes() + b" ")
    degrain("register", code=2)
    assert "run `dvc repro`" in capsys.readouterr().err
    train(worse=0.1)
    (WEIGHTS.parent / "discriminator.safetensors").touch()
    degrain("register", code=2)
    assert "dvc.lock: models/train has md5" in capsys.readouterr().err
    WEIGHTS.unlink()
    degrain("register", code=2)
    assert "expected an evaluated model: run `make repro`" in capsys.readouterr().err


# The gate


def test_better_is_promoted_worse_is_refused_and_rolling_back_swaps(project, capsys):
    degrain("promote")
    assert aliases() == {"champion": "1"}
    train()
    degrain("promote", "--output", "decision.json")
    assert aliases() == {"champion": "2", "previous": "1"}
    decision = json.loads(Path("decision.json").read_text())
    assert (decision["outcome"], decision["challenger_version"], decision["champion_version"]) == (
        "promoted",
        "2",
        "1",
    )
    assert all(verdict["passed"] for verdict in decision["verdicts"])
    assert len(decision["verdicts"]) == 9

    train(worse=0.1)
    degrain("register")
    capsys.readouterr()
    degrain("promote", code=3)
    assert re.search(r"FAILED  PSNR gain over the champion: -\d", capsys.readouterr().out)
    assert aliases() == {"champion": "2", "previous": "1"}
    assert versions()["3"].tags["promotion"] == "refused"

    degrain("rollback")
    assert aliases() == {"champion": "1", "previous": "2"}
    degrain("rollback")
    assert aliases() == {"champion": "2", "previous": "1"}
    assert [(row["action"], row["version"], row["champion_before"]) for row in history()] == [
        ("promoted", "1", ""),
        ("promoted", "2", "1"),
        ("refused", "3", "2"),
        ("rolled back", "1", "2"),
        ("rolled back", "2", "1"),
    ]
    assert "PSNR gain over the champion" in history()[2]["failed"]
    assert float(history()[1]["psnr_gain_db"]) > 1


def test_champion_again_changes_nothing(project, capsys):
    degrain("promote")
    before, rows = aliases(), history()
    degrain("promote")
    assert "unchanged: degrain-rgb version 1 is the champion already" in capsys.readouterr().out
    assert (aliases(), history()) == (before, rows)


def test_dry_run_decides_and_leaves_no_trace(project, capsys):
    degrain("promote", "--dry-run", "--output", "decision.json")
    assert "would be promoted: the evaluated model" in capsys.readouterr().out
    assert json.loads(Path("decision.json").read_text())["dry_run"] is True
    assert client().search_registered_models() == []
    assert not HISTORY.exists()


def test_first_model_below_the_floor_is_refused(project):
    create_data(project, {"promote": {"floor": {"psnr_db": 40.0}}})
    degrain("promote", code=3)
    assert client().search_registered_models() == []
    assert [row["action"] for row in history()] == ["refused"]


def test_changed_test_file_is_noticed(project, capsys):
    path = Path("data/noisy/test/sigma_25/chelsea.npy")
    np.save(path, np.load(path) * 0.5)
    degrain("promote", code=2)
    assert "expected" in capsys.readouterr().err
    assert not HISTORY.exists()


def test_champion_is_measured_anew_when_the_test_set_changes(project):
    """Its figures of old are of no use; and the reports must be of the new set."""
    degrain("promote")
    manifest = Path("data/noisy/manifest.csv")
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(line for line in lines if "chelsea,test,sigma_25" not in line))
    degrain("promote", code=2)
    train()
    degrain("promote", "--output", "decision.json")
    decision = json.loads(Path("decision.json").read_text())
    assert decision["outcome"] == "promoted"
    assert decision["test_sha256"] not in {row["test_sha256"] for row in history()[:1]}


def test_weights_that_were_exchanged_are_not_the_champion(project, capsys):
    degrain("promote")
    train()
    [stored] = project.glob("mlartifacts/models/*/artifacts/artifacts/generator.safetensors")
    stored.write_bytes(WEIGHTS.read_bytes())
    degrain("promote", code=2)
    assert "degrain-rgb version 1: weights with SHA-256" in capsys.readouterr().err


def test_store_that_does_not_answer_is_an_error(project, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    for command in (["register"], ["promote"], ["rollback"], ["card"]):
        degrain(*command, code=2)
        error = capsys.readouterr().err
        assert "MLflow at http://127.0.0.1:9: no answer" in error
        assert "secret" not in error


# Crashes


class Crash(BaseException):
    """As if the process were killed there."""


def crash_at(monkeypatch, owner, name, call):
    """Let the so-many-th call of a function be the last thing that happens."""
    real, calls = getattr(owner, name), []

    def until(*args, **kwargs):
        calls.append(1)
        if len(calls) == call:
            raise Crash
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, until)


def interrupt(monkeypatch, step, call, command):
    import mlflow

    owner = {"remember": moves, "set_registered_model_alias": mlflow.MlflowClient}.get(step, Registry)
    with monkeypatch.context() as patch:
        crash_at(patch, owner, step, call)
        with pytest.raises(Crash):
            command()


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """Two versions, the second the champion; what they hold does not matter here."""
    from degrain.tracking.store import open_store

    enter_project(tmp_path, monkeypatch)
    store = open_store(f"sqlite:///{tmp_path / 'mlflow.db'}", "degrain")
    store.client.create_registered_model("degrain-rgb")
    for _ in range(2):
        store.client.create_model_version("degrain-rgb", "somewhere")
    registry = Registry(store, "degrain-rgb")
    moves.move(registry, registry.get("2"), registry.get("1"), moves.history_row("promoted", "degrain-rgb"))
    return registry


@pytest.mark.parametrize(
    ("step", "call"),
    [
        ("begin_move", 1),
        ("set_registered_model_alias", 1),
        ("set_registered_model_alias", 2),
        ("remember", 1),
        ("finish_move", 1),
    ],
)
def test_rolling_back_may_be_repeated_after_a_crash(registry, monkeypatch, step, call):
    interrupt(monkeypatch, step, call, lambda: moves.roll_back(registry))
    champion, previous = moves.roll_back(registry)
    assert (champion.number, previous.number) == ("1", "2")
    assert aliases() == {"champion": "1", "previous": "2"}
    assert [row["action"] for row in history()] == ["promoted", "rolled back"]


def test_rolling_back_needs_two_champions(registry):
    registry.client.delete_registered_model_alias("degrain-rgb", "previous")
    with pytest.raises(DegrainError, match="version 2 is the only champion so far"):
        moves.roll_back(registry)


def test_promotion_may_be_repeated_after_a_crash(project, monkeypatch):
    degrain("promote")
    train()
    interrupt(monkeypatch, "set_registered_model_alias", 2, lambda: cli.main(["promote"]))
    degrain("promote")
    assert aliases() == {"champion": "2", "previous": "1"}
    assert [row["action"] for row in history()] == ["promoted", "promoted"]
    assert set(versions()) == {"1", "2"}


def test_reports_of_the_same_model_may_be_made_again(project):
    from degrain.params import load_params

    degrain("register")
    evaluate(load_params())
    degrain("register")
    assert set(versions()) == {"1"}
