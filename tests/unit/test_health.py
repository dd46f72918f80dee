"""Training health: what is measured, what it says, and trainings that go wrong and are taken back."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from degrain.build.generator import build_generator
from degrain.params import ParamsError
from degrain.training import loop
from degrain.training.checkpoint import Checkpoint
from degrain.training.curve import write_curve
from degrain.training.descend import Diverged
from degrain.training.health import ADVICE, diagnose
from degrain.training.loop import Unguarded, fit
from degrain.training.rescue import HealthGuard, health_guard
from degrain.training.schedule import warmup_cosine
from degrain.training.vitals import Vitals, diversity, high_frequency_power
from support import merged
from training_support import Recorder, adversarial_training, same, small_dataset

VITALS = Vitals(enabled=True)
FIGURES = {
    "real_accuracy",
    "fake_accuracy",
    "told_apart",
    "logit_gap",
    "update_ratio",
    "gain_db",
    "detail",
    "variety",
}


class Interrupted(Exception):
    """The process ended here."""


# --- the figures ---


def seeded(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_health_accuracies_are_shares_on_the_right_side_of_the_threshold():
    real, fake = torch.tensor([[1.0, -1.0, 2.0, 0.4]]), torch.tensor([[-1.0, -2.0, 2.0, 0.6]])
    figures = VITALS.of_logits(real, fake)
    assert figures == pytest.approx(
        {"real_accuracy": 3 / 4, "fake_accuracy": 2 / 4, "told_apart": 2.5 / 4, "logit_gap": 2.8 / 4}
    )
    halfway = Vitals(enabled=True, threshold=0.5).of_logits(real, fake)
    assert (halfway["real_accuracy"], halfway["fake_accuracy"]) == (2 / 4, 2 / 4)
    relative = Vitals(enabled=True, threshold=None)
    assert relative.of_logits(real, fake) == pytest.approx(relative.of_logits(real + 7, fake + 7))
    assert relative.of_logits(real, fake)["fake_accuracy"] == figures["told_apart"]


@pytest.mark.parametrize("size", [(16, 16), (15, 16), (16, 15)])
def test_health_high_frequencies_are_those_of_the_whole_spectrum(size):
    images = seeded(2, 3, *size)
    spectrum = torch.fft.fft2(images.double(), norm="ortho").abs().square()
    radius = torch.hypot(*torch.meshgrid(*(torch.fft.fftfreq(side) for side in size), indexing="ij"))
    expected = spectrum[:, :, radius > 0.25].sum().item()
    assert high_frequency_power(images).item() == pytest.approx(expected, rel=1e-5)
    assert high_frequency_power(torch.ones(1, 1, *size)).item() == pytest.approx(0, abs=1e-9)


def test_health_figures_of_images_are_relative_to_the_clean_ones():
    clean = seeded(3, 3, 16, 16)
    noisy = clean + 0.3
    perfect = VITALS.of_images(clean, clean, noisy)
    assert (perfect["detail"], perfect["variety"]) == pytest.approx((1, 1))
    half = VITALS.of_images(clean / 2 + 0.25, clean, noisy)
    assert (half["detail"], half["variety"]) == pytest.approx((1 / 4, 1 / 2))
    assert VITALS.of_images(clean + 0.03, clean, noisy)["gain_db"] == pytest.approx(20, abs=1e-3)
    one_for_all = VITALS.of_images(clean[:1].expand(3, -1, -1, -1), clean, noisy)
    assert one_for_all["variety"] == pytest.approx(0, abs=1e-6)
    assert "variety" not in VITALS.of_images(clean[:1], clean[:1], noisy[:1])


def test_health_diversity_is_one_for_samples_of_the_truth_and_none_for_a_generator_that_ignores_z():
    clean, one, other = (
        torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(s)) for s in range(3)
    )
    assert diversity(one, other, clean).item() == pytest.approx(1, abs=0.03)
    assert diversity(one, one, clean).item() == 0
    told = VITALS.of_images(one, clean, clean + 1, again=other)
    assert told["diversity"] == pytest.approx(diversity(one, other, clean).item())


def test_health_update_ratio_is_the_change_over_the_weights():
    network = nn.Linear(3, 2)
    with torch.no_grad():
        network.weight.fill_(2.0)
        network.bias.zero_()
        measured = VITALS.update_of(network)
        network.weight += 0.02
        network.bias += 0.02
    assert measured() == pytest.approx(
        {"update_ratio": math.sqrt(8 * 0.02**2 / (6 * 2.02**2 + 2 * 0.02**2))}, rel=1e-4
    )


# --- what they say ---

WELL = {"real_accuracy": 0.6, "fake_accuracy": 0.55, "told_apart": 0.6, "update_ratio": 1e-3}
WELL |= {"gain_db": 8.0, "detail": 0.7, "variety": 0.98, "diversity": 0.9}


@pytest.mark.parametrize(
    ("changes", "condition", "seen"),
    [
        ({}, "healthy", ""),
        ({"real_accuracy": 0.97, "fake_accuracy": 0.96}, "discriminator wins",
         "accuracy = 0.965; expected at most 0.95"),
        ({"real_accuracy": 1.0, "fake_accuracy": 0.6}, "healthy", ""),
        ({"told_apart": 0.2}, "generator wins", "told_apart = 0.200; expected at least 0.35"),
        ({"variety": 0.1}, "collapse", "variety = 0.1; expected at least 0.245 (train.health.collapse)"),
        ({"diversity": 0.1}, "collapse", "diversity = 0.1;"),
        ({"detail": 0.01}, "collapse", "detail = 0.01;"),
        ({"detail": 11}, "diverged", "detail = 11; expected at most 10 (train.health.detail)"),
        ({"update_ratio": 0.2}, "diverged", "update_ratio = 0.2; expected at most 0.1"),
        ({"gain_db": 4.9}, "diverged", "gain_db = 4.90; expected at least 5.00 (train.health.fall_db)"),
        ({"update_ratio": 0.2, "variety": 0.0, "told_apart": 0.0}, "diverged", "update_ratio"),
        ({"variety": 0.0, "gain_db": -9}, "collapse", "variety"),
    ],
)  # fmt: skip
def test_health_is_told_by_medians_and_the_best_so_far(make_params, changes, condition, seen):
    found = diagnose(WELL | changes, WELL, make_params().train)
    assert found.condition == condition
    assert found.seen.startswith(seen) if seen else found.seen == ""
    assert (found.condition in ADVICE) == (condition != "healthy")


def test_health_of_a_first_window_is_not_judged_by_what_may_be_the_start(make_params):
    """A generator from nothing leaves all noise in; one that has noise z begins by ignoring it."""
    start = WELL | {"detail": 300.0, "variety": 0.0, "diversity": 0.0, "gain_db": -20.0}
    assert diagnose(start, {}, make_params().train).condition == "healthy"


def test_health_a_critic_may_be_right(make_params):
    sure = WELL | {"real_accuracy": 1.0, "fake_accuracy": 1.0, "told_apart": 1.0}
    for loss, condition in (("wasserstein", "healthy"), ("hinge", "discriminator wins")):
        assert (
            diagnose(sure, WELL, make_params({"train": {"adversarial": {"loss": loss}}}).train)[0]
            == condition
        )


# --- trainings ---

SHORT = {"steps": 24, "validate_every": 8, "warmup_steps": 0, "ema_half_life_images": 1.0}
SHORT |= {"health": {"window": 8}}
# Whatever becomes of the pixels is wanted.
FOOLING = {
    "pixel": {"weight": 0.0},
    "feature_matching": {"weight": 0.0},
    "adversarial": {"weight": 1.0},
    "health": {"update_ratio": 1.0, "fall_db": 1e3, "detail": 1e9},
}


@pytest.fixture
def training(make_params, photo, tmp_path):
    """(state, plan, log) of a short guarded training, whose state is kept in `folder`."""

    def make(changes=None, *, folder="run", sigma_255=25, generator=None, seed=0):
        noise = {"gaussian": {"train": [sigma_255, sigma_255]}}
        params = make_params({"noise": noise, "train": merged(SHORT, changes or {})})
        data = small_dataset(params, params.train, photo, tmp_path / "patches")
        held_out = data.batch(1000)

        @torch.no_grad()
        def validate(state):
            restored = state.ema.network(held_out.noisy, held_out.sigma)
            error = (restored - held_out.clean).square().mean()
            return {"val_psnr": float(-10 * error.log10())}

        torch.manual_seed(seed)
        generator = generator or build_generator(params.model, 3)
        state, plan = adversarial_training(params, data, generator=generator, validate=validate, seed=seed)
        log, checkpoint = Recorder(), Checkpoint("train", "key", root=tmp_path / folder)
        return state, replace(plan, guard=health_guard(params, checkpoint, log)), checkpoint, log

    return make


def run(state, plan, checkpoint, log):
    fit(state, plan, checkpoint=checkpoint, log=log, name="train")
    return state


class Plain(nn.Module):
    """A generator without a way around its weights, which starts by doing nothing."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 3, padding=1, padding_mode="replicate")
        with torch.no_grad():
            nn.init.dirac_(self.convolution.weight)
            self.convolution.bias.zero_()

    def forward(self, noisy, sigma):
        return self.convolution(noisy)


@pytest.mark.parametrize(
    ("changes", "arguments", "condition"),
    [
        ({}, {}, "healthy"),
        (
            {"lr": 1e-9, "discriminator_lr": 0.01, "discriminator": {"kind": "dcgan"}},
            {"sigma_255": 50},
            "discriminator wins",
        ),
        (
            FOOLING | {"lr": 0.002, "discriminator_lr": 1e-30, "discriminator": {"kind": "patchgan"}},
            {},
            "generator wins",
        ),
    ],
    ids=["healthy", "discriminator far too strong", "discriminator frozen"],
)
def test_health_of_a_training_is_told_and_none_of_these_is_rescued(training, changes, arguments, condition):
    state, plan, checkpoint, log = training(changes, **arguments)
    run(state, plan, checkpoint, log)
    assert log.tags["state"] == state.curve[-1]["state"] == condition
    assert ("expected" in log.tags["health.diagnosis"]) == (condition != "healthy")
    assert (state.step, state.chart.rescues, state.curve[-1]["rescues"]) == (24, 0, 0)
    assert state.curve[0].keys() >= FIGURES
    assert all(row.keys() >= FIGURES for step, row in log.rows if "lr" in row)
    # The last checkpoint that is kept is healthy, whatever came after.
    kept = checkpoint.beside("healthy.pt").load()
    assert (kept["step"] == 24) == (condition == "healthy")
    assert kept["chart"]["condition"] in ("", "healthy")


# Its weights shrink by a fifth at every step, and nothing holds against it: in the end all images are black.
FADING = merged(FOOLING, {"adversarial": {"weight": 0.0}, "weight_decay": 10.0, "lr": 0.02})


@pytest.mark.parametrize(
    ("changes", "generator", "condition", "seen"),
    [
        (FADING, Plain, "collapse", "steps 9 to 16: variety = "),
        ({"lr": 1.0}, None, "diverged", "steps 1 to 8: update_ratio = "),
        ({"lr": 1.0, "health": {"window": 20}}, None, "diverged", "step 8: val_psnr = "),
        ({"lr": 1e4}, None, "diverged", "step 3: "),  # a figure is not finite
    ],
    ids=["constant output", "learning rate of 1", "learning rate of 1, by PSNR", "learning rate of 10,000"],
)
def test_health_a_ruined_training_goes_back_with_smaller_rates_and_ends_well(
    training, changes, generator, condition, seen
):
    changes = merged(changes, {"health": {"rescue_rate": 1e-3 if condition == "diverged" else 0.1}})
    changes = merged({"health": SHORT["health"]}, changes)
    state, plan, checkpoint, log = training(changes, generator=generator and generator())
    run(state, plan, checkpoint, log)
    rescues = state.chart.rescues
    assert 1 <= rescues <= 2
    assert (log.tags["state"], log.tags["health.rescues"]) == ("healthy", str(rescues))
    assert log.tags["health.history"].startswith(f"{condition}, {seen}")
    assert log.tags["health.history"].endswith(
        "back to step 0" if condition == "diverged" else "back to step 8"
    )
    assert [row["step"] for row in state.curve] == [8, 16, 24]
    assert (state.curve[-1]["state"], state.curve[-1]["rescues"]) == ("healthy", rescues)
    rate = plan.guard.limits.rescue_rate**rescues
    last = warmup_cosine(23, steps=24, warmup_steps=0)
    for player in state.players().values():
        assert player.optimizer.param_groups[0]["lr"] == pytest.approx(player.lr * last * rate)
    if condition == "diverged":
        assert state.curve[-1]["val_psnr"] > log.rows[0][1]["val_psnr"] - 1
    # No step is logged twice: those of the lost way count on.
    steps = [step for step, row in log.rows if "lr" in row]
    assert steps == list(range(1, state.done + 1))
    assert [row["rescues"] for _, row in log.rows if "rescues" in row] == list(range(rescues + 1))


@pytest.mark.parametrize("rescues", [0, 2])
def test_health_after_the_last_rescue_it_fails_with_the_diagnosis(training, rescues):
    changes = {"lr": 1.0, "health": SHORT["health"] | {"rescues": rescues}}
    state, plan, checkpoint, log = training(changes)
    with pytest.raises(Diverged) as caught:
        run(state, plan, checkpoint, log)
    said = str(caught.value)
    assert said.startswith(f"train: diverged after {rescues} rescues:\n  ")
    assert said.count("update_ratio = ") == rescues + 1
    assert said.count("back to step 0\n") == rescues
    assert "expected at most 0.1 (train.health.update_ratio)" in said
    assert "Lower train.lr, " in said
    assert said.endswith("(params.yaml). The last good checkpoint is kept")
    assert log.tags["state"] == "diverged"
    assert log.tags["health.diagnosis"].startswith("steps 1 to 8: update_ratio = ")
    # Trying again without a change comes to the same end.
    state, plan, checkpoint, log = training(changes)
    with pytest.raises(Diverged) as again:
        run(state, plan, checkpoint, log)
    assert str(again.value) == said


def test_health_is_observed_without_changing_a_bit(training):
    states = []
    for enabled in (True, False):
        state, plan, checkpoint, log = training({"health": {"enabled": enabled}}, folder=str(enabled))
        assert isinstance(plan.guard, HealthGuard if enabled else Unguarded)
        states.append(run(state, plan, checkpoint, log).state_dict())
    on, off = states
    assert all(same(on[part], off[part]) for part in ("generator", "discriminator", "ema", "memory", "step"))
    assert on["chart"] != off["chart"] == vars(type(state.chart)())
    for row, plain in zip(on["curve"], off["curve"], strict=True):
        assert row.keys() - plain.keys() == FIGURES | {"rescues", "state"}
        assert plain == {name: row[name] for name in plain}


# --- killed ---

RESCUED = {"steps": 12, "validate_every": 3, "health": {"window": 3}}


def poisoned(plan, interrupt_at=None):
    """A batch of the first try is broken; the process ends before a step, counted from its start."""
    calls = iter(range(99))

    def step(state, batch):
        if next(calls) == interrupt_at:
            raise Interrupted
        if state.step == 7 and not state.chart.rescues:
            batch = replace(batch, noisy=batch.noisy * math.inf)
        return plan.step(state, batch)

    return replace(plan, step=step)


@pytest.mark.parametrize("checkpoints", ["after every step", "after rescues alone"])
@pytest.mark.parametrize("interrupt_at", [5, 8, 11, 13])
def test_health_a_rescued_training_that_was_killed_resumes_to_the_same_bytes(
    training, tmp_path, monkeypatch, checkpoints, interrupt_at
):
    """Before the rescue at the 8th step, right after it, and before and after the next healthy state."""
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0 if "every" in checkpoints else math.inf)
    state, plan, checkpoint, log = training(RESCUED, folder="whole")
    whole = run(state, poisoned(plan), checkpoint, log).state_dict()
    assert (whole["chart"]["rescues"], whole["chart"]["discarded"]) == (1, 1)
    assert "step 8: " in log.tags["health.history"]

    state, plan, checkpoint, before = training(RESCUED, folder="halves")
    with pytest.raises(Interrupted):
        run(state, poisoned(plan, interrupt_at), checkpoint, before)
    # Another start shows that all of it comes from the checkpoint, if there is one.
    seed = 5 * checkpoint.path.exists()
    state, plan, checkpoint, after = training(RESCUED, folder="halves", seed=seed)
    assert same(run(state, poisoned(plan), checkpoint, after).state_dict(), whole)
    assert after.tags.items() >= {"state": "healthy"}.items()
    healthy = Checkpoint("train", "key", root=tmp_path / "whole").beside("healthy.pt").load()
    assert same(checkpoint.beside("healthy.pt").load(), healthy)
    assert healthy["step"] == 12
    # What MLflow has, doubles left out, is what it would have.
    expected = {step: row["pixel"] for step, row in log.rows if "pixel" in row}
    assert expected == {
        step: row["pixel"] for part in (before, after) for step, row in part.rows if "pixel" in row
    }
    for name, state_ in (("whole", whole), ("halves", state.state_dict())):
        write_curve(tmp_path / f"{name}.csv", state_["curve"])
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "halves.csv").read_bytes()
    assert (tmp_path / "whole.csv").read_text().endswith(",1,healthy\n")


def test_health_is_kept_beside_the_checkpoint_and_goes_with_it(tmp_path):
    checkpoint = Checkpoint("train", "key", root=tmp_path)
    healthy = checkpoint.beside("healthy.pt")
    assert healthy.path == checkpoint.folder / "healthy.pt"
    checkpoint.save({"step": 2})
    healthy.save({"step": 1})
    assert (checkpoint.load(), healthy.load()) == ({"step": 2}, {"step": 1})
    checkpoint.finish()
    assert healthy.load() is None


@pytest.mark.parametrize(
    ("setting", "value"), [("window", 0), ("rescue_rate", 1.0), ("detail", 1), ("rescues", -1)]
)
def test_health_settings_that_cannot_be_are_refused(make_params, setting, value):
    with pytest.raises(ParamsError, match=rf"train\.health\.{setting} = {value}"):
        make_params({"train": {"health": {setting: value}}})
