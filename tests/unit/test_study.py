"""The study of adversarial training: its arms, its rows, what is kept and what is done again."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from degrain.build.adversarial_losses import ADVERSARIAL
from degrain.errors import DegrainError
from degrain.evaluation import realism
from degrain.params import ParamsError
from degrain.training import loop
from degrain.training.checkpoint import Checkpoint
from experiments.adversarial import clock
from experiments.adversarial.__main__ import main, study
from experiments.adversarial.arms import HERE, Row, load_plans
from experiments.adversarial.clock import Clock
from experiments.adversarial.describe import loss_of, stabilisers_of
from experiments.adversarial.results import COLUMNS, Results
from experiments.adversarial.run import SKIPPED, _is_known
from experiments.adversarial.tables import PICTURES
from experiments.adversarial.trainings import _generator
from perceptual_support import needs_perceptual
from study_support import Bench
from support import ROOT


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Networks of the two-sample test that are taught for two steps."""
    test = realism.two_sample_accuracy
    monkeypatch.setattr(realism, "two_sample_accuracy", lambda *pairs, **rest: test(*pairs, **rest, steps=2))


@pytest.fixture
def bench(tmp_path, monkeypatch):
    found = Bench(tmp_path)
    monkeypatch.chdir(found.work)
    return found


@pytest.fixture(scope="module")
def real():
    return {name: load_plans(HERE / f"{name}.yaml", {}, top=ROOT) for name in ("study", "unattended")}


@pytest.mark.parametrize("name", ["study", "unattended"])
def test_what_has_been_computed_is_what_the_params_still_say(real, name):
    """Hours of training would be done again if a preset or a default changed under the study."""
    plans = real[name]
    results = Results(plans.study, ROOT / "reports/adversarial")
    assert [str(row) for row in plans.rows() if not _is_known(plans, results, row)] == []
    _generator(plans.start, plans.params(plans.rows()[0]))  # refuses another network


def test_every_loss_stabiliser_and_discriminator_has_an_arm(real):
    plans = real["study"]
    described = [
        (loss_of(plans.params(row), row.arm), stabilisers_of(plans.params(row), row.arm))
        for row in plans.rows()
        if row.seed == 0
    ]
    said = " ".join(f"{loss}, {stabilisers}" for loss, stabilisers in described)
    assert len(set(described)) == len(plans.study.arms)  # no two arms are the same
    for one in (
        *ADVERSARIAL,
        *("mse + 2e-05 divergence", "0.1 non-saturating + 1.5 perceptual"),
        *("R1 1 every 16", "R2 1 every 16", "gradient penalty 10", "label smoothing", "minibatch deviation"),
        *("historical averaging", "LeCam", "adaptive augmentation", "instance noise", "conditional"),
        *("patchgan discriminator", "dcgan discriminator"),
    ):
        assert one in said
    usual = "spectral norm, feature matching 0.05, discriminator's rate x 5, averaged weights"
    by_arm = dict(zip(plans.study.arms, described, strict=True))
    assert by_arm["non-saturating"] == ("1 l1 + 0.01 non-saturating", usual)
    for arm, less in {
        "no-spectral-norm": "spectral norm, ",
        "no-feature-matching": "feature matching 0.05, ",
        "equal-rates": "discriminator's rate x 5, ",
        "no-ema": ", averaged weights",
    }.items():
        assert by_arm[arm][1] == usual.replace(less, "")


def test_all_arms_have_the_same_schedule(real):
    for plans in real.values():
        seen = {
            tuple(getattr(getattr(plans.params(row), row.arm.section), name) for name in shared)
            for row in plans.rows()
            for shared in [("batch_size", "patch_size", "lr", "warmup_steps", "optimizer", "weight_decay")]
        }
        assert len(seen) == 1


def test_unattended_are_ten_seeds_of_three_losses_named_by_them(real):
    rows = real["unattended"].rows()
    assert len(rows) == 30
    assert all(real["unattended"].params(row).train.adversarial.loss == row.name for row in rows)
    assert real["unattended"].study.steps >= 1000


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"arms": {"hinge": {"set": {"train": {"adversarial": {"lss": "hinge"}}}}}},
         r"tiny\.yaml: hinge: train\.adversarial\.lss is not a setting; did you mean train\.adversarial\.l"),
        ({"arms": {"hinge": {"set": {"train": {"adversarial": {"loss": "hing"}}}}}},
         r"hinge: train\.adversarial\.loss = 'hing'; expected one of: minimax"),
        ({"arms": {"hinge": {"trains": "nothin"}}}, r"tiny\.yaml: arms\.hinge\.trains: Input should be"),
        ({"arm": {}}, r"tiny\.yaml: arm is not a setting"),
        ({"minutes": 2}, "expected one of minutes and steps"),
        ({"strip": ["hing"]}, "hing: no such arm; expected one of: start, pixel"),
        ({"preset": "gray"}, r"gray\.yaml: not found"),
        ({"table": "unattended"}, "expected passes with table: unattended"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_study_is_named(bench, changes, said):
    with pytest.raises(DegrainError, match=said):
        bench.plans(changes)


def test_a_typo_is_an_error_of_the_params(bench):
    with pytest.raises(ParamsError):
        bench.plans({"arms": {"pixel": {"set": {"pretrain": {"stps": 3}}}}})


def test_an_arm_that_is_not_there_is_refused():
    with pytest.raises(DegrainError, match="nonsense: no such arm; expected one of: start, pixel"):
        main(["--only", "nonsense"])


@pytest.mark.parametrize("option", ["--steps", "--minutes"])
def test_a_length_of_nothing_is_refused_and_not_left_out(option):
    with pytest.raises(DegrainError, match="greater than 0"):
        main([option, "0", "--only", "nonsense"])


def test_every_row_has_its_figures_and_nothing_is_done_twice(bench):
    needs_perceptual()
    results = bench.run()
    assert tuple(next(iter(results.rows.values()))) == COLUMNS["results"]
    assert list(results.rows) == [
        *("start 0", "pixel 0", "pixel 1", "variational 0", "variational 1"),
        *("non-saturating 0", "non-saturating 1", "hinge 0", "hinge 1"),
    ]
    for name, row in results.rows.items():
        assert row["steps"] == ("0" if name == "start 0" else "3")
        assert all(float(row[column]) >= 0 for column in COLUMNS["results"][3:-1]), name
        assert row["state"] == "healthy"
    assert results.rows["hinge 0"]["psnr"] != results.rows["hinge 1"]["psnr"]
    assert results.rows["hinge 0"]["psnr"] != results.rows["non-saturating 0"]["psnr"]
    before = {path.name: path.read_bytes() for path in bench.out.iterdir()}
    shutil.rmtree("data")  # as in a fresh clone
    shutil.rmtree("trained")
    bench.run()
    assert {path.name: path.read_bytes() for path in bench.out.iterdir()} == before
    assert not Path("data").exists()


def without_time(row):
    return {name: value for name, value in row.items() if name != "seconds"}


def test_only_rows_whose_settings_changed_are_done_again(bench):
    first = bench.run("start", "pixel", "hinge").rows
    ended = {path: path.stat().st_mtime_ns for path in Path("trained").iterdir()}
    changes = {"arms": {"hinge": {"set": {"train": {"adversarial": {"weight": 0.5}}}}}}
    second = bench.run("start", "pixel", "hinge", changes=changes).rows
    assert {name for name in first if first[name] != second[name]} == {"hinge 0", "hinge 1"}
    assert {path: path.stat().st_mtime_ns for path in ended} == ended
    more = bench.run("pixel", changes={"seeds": 1, "images": 2} | changes).rows
    assert more == second


def test_another_number_of_images_measures_again_but_trains_nothing(bench):
    first = bench.run("pixel").rows["pixel 0"]
    weights = {path: path.stat().st_mtime_ns for path in Path("trained").iterdir()}
    bench.values["images"] = 3  # there are but two
    second = bench.run("pixel").rows["pixel 0"]
    assert second == first  # the seconds too: those of the training that was kept
    assert {path: path.stat().st_mtime_ns for path in Path("trained").iterdir()} == weights


def test_the_same_row_again_has_the_same_figures(bench):
    first = bench.run("variational", "hinge").rows
    shutil.rmtree("trained")
    shutil.rmtree(bench.out)
    assert {name: without_time(row) for name, row in bench.run("variational", "hinge").rows.items()} == {
        name: without_time(row) for name, row in first.items()
    }


def killed_at(step, monkeypatch):
    """Kill a training after it has written the checkpoint of a step."""
    save, seen = Checkpoint.save, []

    def save_and_die(self, state):
        save(self, state)
        if state["step"] == step and self.path.name == "state.pt" and not seen:
            seen.append(step)
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", save_and_die)


@pytest.mark.parametrize("arm", ["variational", "hinge"])
def test_a_killed_row_goes_on_and_the_others_stay(bench, monkeypatch, arm, capsys):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    changes = {"seeds": 1}
    whole = bench.run("pixel", arm, changes=changes).rows
    weights = sorted(path.read_bytes() for path in Path("trained").glob("*.safetensors"))
    shutil.rmtree("trained")
    shutil.rmtree(bench.out)
    bench.run("pixel", changes=changes)
    kept = bench.results(bench.plans(changes)).rows
    killed_at(2, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        bench.run("pixel", arm, changes=changes)
    assert bench.results(bench.plans(changes)).rows == kept
    capsys.readouterr()
    again = bench.run("pixel", arm, changes=changes).rows
    assert "resuming from the checkpoint at step 2" in capsys.readouterr().out
    assert again["pixel 0"] == kept["pixel 0"]
    assert without_time(again[f"{arm} 0"]) == without_time(whole[f"{arm} 0"])
    assert sorted(path.read_bytes() for path in Path("trained").glob("*.safetensors")) == weights
    assert not list(Path(".checkpoints").rglob("*.pt"))


def test_a_training_that_is_ruined_is_a_row_without_figures_and_stops_nothing(bench):
    ruin = {"train": {"lr": 1e6, "gradient_clip": 1e6, "health": {"rescues": 1, "rescue_rate": 0.9}}}
    results = bench.run("non-saturating", "hinge", changes={"seeds": 1, "arms": {"hinge": {"set": ruin}}})
    ruined, well = results.rows["hinge 0"], results.rows["non-saturating 0"]
    assert ruined["state"] in ("diverged, 1 rescue", "collapse, 1 rescue")
    assert ruined["psnr"] == ruined["two_sample_accuracy"] == ""
    assert int(ruined["steps"]) >= 1
    assert well["psnr"]
    before = results.path.read_bytes()
    bench.run("hinge", changes={"seeds": 1, "arms": {"hinge": {"set": ruin}}})
    assert results.path.read_bytes() == before


def test_without_the_extra_rows_that_need_it_are_skipped_and_done_once_it_is_there(bench, monkeypatch):
    needs_perceptual()
    changes = {"seeds": 1, "arms": {"hinge": {"set": {"train": {"perceptual": {"weight": 0.3}}}}}}
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "efficientnet_lite_pytorch", None)
        rows = bench.run("pixel", "hinge", changes=changes).rows
    assert rows["hinge 0"]["state"] == SKIPPED
    assert rows["hinge 0"]["psnr"] == rows["pixel 0"]["frechet_distance"] == ""
    assert rows["pixel 0"]["psnr"]
    assert "0.3 perceptual" in rows["hinge 0"]["loss"]
    again = bench.run("pixel", "hinge", changes=changes).rows
    assert again["hinge 0"]["state"] == "healthy"
    judged = {name for name in again["pixel 0"] if again["pixel 0"][name] != rows["pixel 0"][name]}
    assert judged == {"feature_distance", "frechet_distance"}


def test_unattended_runs_pass_by_their_own_start(bench):
    needs_perceptual()
    bench.values |= {"table": "unattended", "passes": {"loss_db": 0.7}, "strip": []}
    bench.values["arms"] = {"hinge": bench.values["arms"]["hinge"]}
    results = bench.run()
    assert list(results.rows) == ["hinge 0", "hinge 1"]
    for row in results.rows.values():
        assert tuple(row) == COLUMNS["unattended"]
        near = float(row["psnr"]) >= float(row["start_psnr"]) - 0.7
        livelier = float(row["frechet_distance"]) < float(row["start_frechet_distance"])
        assert row["passed"] == str(near and livelier).lower()
        assert row["rescues"] == "0"


def test_the_deep_judge_is_a_must_for_unattended_runs(bench, monkeypatch):
    bench.values |= {"table": "unattended", "passes": {"loss_db": 0.7}, "strip": []}
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(DegrainError, match=r"pip install 'degrain\[perceptual\]'"):
        bench.run("hinge")


def test_equal_time_gives_each_arm_its_steps_once(bench):
    bench.values |= {"minutes": 0.001, "seeds": 1}
    del bench.values["steps"]
    results = bench.run("pixel", "hinge")
    timed = json.loads(results.record_path.read_text())["steps"]
    for name in ("pixel", "hinge"):
        each = timed[name]["milliseconds_a_step"] / 1000
        assert timed[name]["steps"] == pytest.approx(max(1, 0.06 / each), rel=0.02, abs=1)
        assert results.rows[f"{name} 0"]["steps"] == str(timed[name]["steps"])
    bench.run("pixel", "hinge")
    assert json.loads(results.record_path.read_text())["steps"] == timed  # and so is the table


def test_arms_that_differ_in_their_data_are_refused(bench):
    with pytest.raises(DegrainError, match="hinge: expected data, noise and patches as in `base`"):
        bench.run(changes={"arms": {"hinge": {"set": {"patches": {"stride": 24}}}}})


def test_a_start_that_is_another_network_is_refused(bench):
    with pytest.raises(DegrainError, match="expected the unet of the params"):
        bench.run("pixel", changes={"base": {"model": {"unet": {"widths": [8, 24]}}}})


def test_the_clock_counts_over_resumptions_and_not_what_was_lost(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])
    checkpoint = Checkpoint("study", "key", root=tmp_path)
    first = Clock(checkpoint)
    now[0] += 5
    first.flush()
    checkpoint.save({"step": 1})
    now[0] += 3  # lost with what was trained in them
    second = Clock(checkpoint)
    now[0] += 2
    assert second.seconds == 7
    checkpoint.path.unlink()
    assert Clock(checkpoint).seconds == 0


def test_the_command_writes_table_page_and_figures(bench, tmp_path, capsys):
    needs_perceptual()
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- results: here -->\nold\n<!-- /results -->\nafter\n")
    study(bench.plans(), (), out=bench.out, page=page, work=bench.work)
    text = page.read_text()
    assert "| pixel loss | 3 |" in text
    assert text.startswith(f"before\n<!-- results: here -->\n{PICTURES}| references |")
    assert text.endswith("|\n<!-- /results -->\nafter\n")
    assert {path.name for path in bench.out.iterdir()} == {
        *("results.csv", "results.json", "perception-distortion.png", "strip.png"),
    }
    pictures = {path.name: path.read_bytes() for path in bench.out.glob("*.png")}
    study(bench.plans(), (), out=bench.out, page=page, work=bench.work)
    assert {path.name: path.read_bytes() for path in bench.out.glob("*.png")} == pictures
    capsys.readouterr()
    shutil.rmtree(bench.work / "trained")
    study(bench.plans(), (), out=bench.out, page=page, work=bench.work)
    assert "strip.png stays as it is: no weights of pixel loss, hinge" in capsys.readouterr().out


def test_rows_come_seed_by_seed(real):
    rows = real["study"].rows()
    assert [row.seed for row in rows] == sorted(row.seed for row in rows)
    assert rows[0] == Row("start", real["study"].study.arms["start"], 0)
    assert sum(row.name == "start" for row in rows) == 1
