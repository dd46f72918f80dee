"""Laws of the training: what a step changes, what is averaged, and that resuming changes nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from degrain.build.generator import build_generator
from degrain.data.noisy import NoisySet
from degrain.data.patches import Batch
from degrain.data.synthesis import make_noisy_sets
from degrain.files import write_image
from degrain.losses.adversarial import AdversarialPair
from degrain.losses.pixel import l1
from degrain.metrics import psnr, ssim, to_8_bit
from degrain.training import loop, progress
from degrain.training.checkpoint import Checkpoint
from degrain.training.curve import write_curve
from degrain.training.descend import Diverged, descend
from degrain.training.ema import Ema
from degrain.training.loop import Plan, fit
from degrain.training.pixel import PixelStep
from degrain.training.schedule import warmup_cosine
from degrain.training.setup import start_state
from degrain.training.state import Player, frozen
from degrain.training.validation import Validator
from support import merged
from training_support import (
    CPU,
    STABILISED,
    Recorder,
    adversarial_training,
    copied,
    parameters,
    pixel_training,
    same,
    small_dataset,
)

TRAININGS = {"pretrain": pixel_training, "train": adversarial_training}
both = pytest.mark.parametrize("stage", TRAININGS)
STABILISED_PATCHGAN = merged(
    STABILISED,
    {"adversarial": {"loss": "lsgan"}, "discriminator": {"kind": "patchgan", "conditional": True}},
)
FOUR_STEPS = {"steps": 4, "validate_every": 3, "warmup_steps": 1}


class Interrupted(Exception):
    """The process ended here."""


@pytest.fixture
def training(make_params, photo, tmp_path):
    """(state, plan) of a stage, of small networks on a photograph."""

    def make(stage, changes=None, **arguments):
        params = make_params(changes)
        settings = getattr(params, stage)
        data = small_dataset(params, settings, photo, tmp_path / "patches")
        return TRAININGS[stage](params, data, **arguments)

    return make


def run(state, plan, folder, *, log=None):
    fit(state, plan, checkpoint=Checkpoint("t", "key", root=folder), log=log or Recorder(), name="t")
    return state


def stopping_before(plan, step):
    """The plan, interrupted when it comes to a step."""

    def interrupted(state, batch):
        if state.step == step:
            raise Interrupted
        return plan.step(state, batch)

    return Plan(plan.settings, plan.data, interrupted, plan.validate)


@pytest.mark.parametrize(
    ("stage", "changes"),
    [
        ("pretrain", {}),
        ("pretrain", {"model": {"generator": "dncnn"}}),
        ("pretrain", {"pretrain": {"optimizer": "muon"}}),
        ("train", {}),
        ("train", {"train": {"discriminator": {"kind": "patchgan", "conditional": True}}}),
        ("train", {"train": STABILISED}),
        ("train", {"train": STABILISED_PATCHGAN}),
        ("train", {"train": {"discriminator": {"kind": "dcgan"}}}),
    ],
)
def test_four_steps_equal_two_steps_resumed_for_two(training, tmp_path, monkeypatch, stage, changes):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    changes = changes | {stage: changes.get(stage, {}) | FOUR_STEPS}
    stabilised = "stabilisers" in changes[stage]

    def start():
        state, plan = training(stage, changes)
        state.memory.augmentation = 0.5 * stabilised
        return state, plan

    whole = run(*start(), tmp_path / "whole").state_dict()

    state, plan = start()
    with pytest.raises(Interrupted):
        run(state, stopping_before(plan, 2), tmp_path / "halves")
    # Another start shows that all of it comes from the checkpoint.
    later, plan = training(stage, changes, seed=5)
    log = Recorder()
    resumed = run(later, plan, tmp_path / "halves", log=log).state_dict()

    assert sorted({step for step, _ in log.rows}) == [3, 4]
    assert [row["step"] for row in resumed["curve"]] == [3, 4]
    assert {"generator", "ema", "curve", "sums", "step"} <= resumed.keys()
    assert ("discriminator" in resumed) == (stage == "train")
    assert resumed["generator"]["optimizer"]["state"]
    assert same(whole, resumed)
    if stabilised:
        assert resumed["memory"]["augmentation"] > 0
        assert resumed["memory"]["averages"].keys() == {"generator", "discriminator"}
    write_curve(tmp_path / "whole.csv", whole["curve"])
    write_curve(tmp_path / "resumed.csv", resumed["curve"])
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "resumed.csv").read_bytes()


@both
def test_the_seed_of_the_weights_matters(training, tmp_path, stage):
    one, other = (
        run(*training(stage, {stage: FOUR_STEPS}, seed=seed), tmp_path / str(seed)).state_dict()
        for seed in (0, 5)
    )
    assert not same(one, other)


@both
def test_a_finished_training_is_not_repeated(training, tmp_path, stage):
    first = run(*training(stage), tmp_path).state_dict()
    log = Recorder()
    state, plan = training(stage, seed=3)
    assert same(run(state, stopping_before(plan, 0), tmp_path, log=log).state_dict(), first)
    assert log.rows == []


@both
def test_every_player_and_the_average_move_at_every_step(training, stage):
    state, plan = training(stage)
    for _ in range(2):
        before = {name: parameters(player.network) for name, player in state.players().items()}
        averaged = parameters(state.ema.network)
        loop.advance(state, plan.data.batch(state.step), plan)
        for name, player in state.players().items():
            assert not same(parameters(player.network), before[name]), name
        assert not same(parameters(state.ema.network), averaged)


def test_rates_follow_the_schedule_and_curve_rows_are_means(training, tmp_path):
    log = Recorder()
    changes = {"train": {"steps": 5, "validate_every": 2, "warmup_steps": 2}}
    state, plan = training("train", changes)
    run(state, plan, tmp_path, log=log)
    steps = {step: row for step, row in log.rows if "lr" in row}
    validations = {step: row for step, row in log.rows if "val_psnr" in row}
    assert list(steps) == [1, 2, 3, 4, 5]
    assert list(validations) == [2, 4, 5]
    for step, row in steps.items():
        share = warmup_cosine(step - 1, steps=5, warmup_steps=2)
        assert row["lr"] == pytest.approx(plan.settings.lr * share)
    last = warmup_cosine(4, steps=5, warmup_steps=2)
    assert state.discriminator.optimizer.param_groups[0]["lr"] == plan.settings.discriminator_lr * last
    for row, interval in zip(state.curve, [(1, 2), (3, 4), (5,)], strict=True):
        assert row["step"] == interval[-1]
        assert row["val_psnr"] == validations[interval[-1]]["val_psnr"]
        for term in ("pixel", "adversarial", "feature_matching", "discriminator", "generator_gradient_norm"):
            assert row[term] == pytest.approx(np.mean([steps[step][term] for step in interval]))
    assert all(row["megapixels_per_second"] > 0 for row in validations.values())


def test_a_curve_is_written_with_whole_steps_and_6_digits(tmp_path):
    write_curve(tmp_path / "c.csv", [{"step": 3, "pixel": 1 / 3e5, "val_psnr": 29.12345678}])
    assert (tmp_path / "c.csv").read_text() == "step,pixel,val_psnr\n3,3.33333e-06,29.1235\n"


# --- single steps ---


def adversarial_parts(training, changes=None):
    state, plan = training("train", changes)
    batch = plan.data.batch(0)
    return state, plan.step, batch, state.generator.network(batch.noisy, batch.sigma)


@pytest.mark.parametrize("balanced", [False, True])
def test_balanced_levels_divide_each_patch_by_its_noise(training, balanced):
    state, plan = training("pretrain")
    batch = plan.data.batch(0)  # an untrained network restores nothing: its loss is the noise's
    losses = (batch.noisy - batch.clean).abs().mean(dim=(1, 2, 3))
    weights = 0.1 / (batch.sigma + 0.02) if balanced else 1.0
    stats = PixelStep(l1, balance_levels=balanced)(state, batch)
    assert stats["pixel"] == pytest.approx(float((losses * weights).mean()), rel=1e-4)


def no_gradients(network):
    return all(weight.grad is None for weight in network.parameters())


def test_the_generators_turn_leaves_the_discriminator_alone(training):
    state, step, batch, restored = adversarial_parts(training)
    before = parameters(state.discriminator.network)
    mine = parameters(state.generator.network)
    stats = step.generator_step(state, restored, batch)
    assert same(parameters(state.discriminator.network), before)
    assert no_gradients(state.discriminator.network)
    assert all(weight.requires_grad for weight in state.discriminator.network.parameters())
    assert not same(parameters(state.generator.network), mine)
    assert stats.keys() == {"pixel", "adversarial", "feature_matching", "generator_gradient_norm"}


def test_the_discriminators_turn_leaves_the_generator_alone(training):
    state, step, batch, restored = adversarial_parts(training)
    before = copied(state.generator.network)
    mine = parameters(state.discriminator.network)
    stats = step.discriminator_step(state, restored.detach(), batch)
    assert same(copied(state.generator.network), before)
    assert no_gradients(state.generator.network)
    assert not same(parameters(state.discriminator.network), mine)
    assert stats.keys() == {
        "discriminator", "discriminator_gradient_norm", "real_logit", "fake_logit",
        "real_accuracy", "fake_accuracy", "told_apart", "logit_gap",
    }  # fmt: skip


@pytest.mark.parametrize("term", ["adversarial", "feature_matching"])
def test_the_generator_learns_from_the_discriminator(training, term):
    """With the pixels' weight at zero, what is left moves it through the frozen network."""
    weights = {"pixel": {"weight": 0.0}, "adversarial": {"weight": 0.0}, "feature_matching": {"weight": 0.0}}
    weights[term] = {"weight": 1.0}
    state, step, batch, restored = adversarial_parts(training, {"train": weights})
    before = parameters(state.generator.network)
    assert step.generator_step(state, restored, batch)["generator_gradient_norm"] > 0
    assert not same(parameters(state.generator.network), before)


def test_a_step_makes_its_own_loss_smaller(training):
    state, plan = training("pretrain", {"pretrain": {"lr": 1e-4}})
    batch = plan.data.batch(0)
    losses = [plan.step(state, batch)["pixel"] for _ in range(6)]
    assert losses[-1] < losses[0]
    state, step, batch, restored = adversarial_parts(training)
    losses = [step.discriminator_step(state, restored.detach(), batch)["discriminator"] for _ in range(8)]
    assert losses[-1] < losses[0]


def test_a_conditional_discriminator_sees_the_noisy_image(training):
    state, step, batch, restored = adversarial_parts(
        training, {"train": {"discriminator": {"conditional": True}}}
    )
    state.discriminator.network.eval()
    blank = Batch(batch.clean, torch.zeros_like(batch.noisy), batch.sigma)
    scores = [step._judge(restored, shown.noisy).logits for shown in (batch, blank)]
    assert not torch.equal(*scores)


@pytest.mark.parametrize("term", ["pixel", "adversarial", "feature_matching", "discriminator"])
def test_a_loss_that_is_not_finite_stops_with_step_and_term(training, term):
    def broken(real, fake):
        return fake.flatten(1).mean(1) * math.inf

    def sound(real, fake):
        return fake.flatten(1).mean(1)

    state, step, batch, _ = adversarial_parts(training)
    state.step = 41
    bad = replace(
        step,
        pixel=(lambda a, b: l1(a, b) * math.nan) if term == "pixel" else l1,
        adversarial=AdversarialPair(
            broken if term == "adversarial" else sound, broken if term == "discriminator" else sound
        ),
        feature_matching_weight=math.inf if term == "feature_matching" else 0.0,
    )
    generator, discriminator = parameters(state.generator.network), parameters(state.discriminator.network)
    with pytest.raises(Diverged, match=rf"^step 42: {term} = -?(nan|inf); expected a finite number"):
        bad(state, batch)
    assert same(parameters(state.generator.network), generator)
    assert same(parameters(state.discriminator.network), discriminator) == (term == "discriminator")


def test_a_gradient_that_is_not_finite_is_refused_too():
    network = nn.Linear(1, 1, bias=False)
    before = parameters(network)
    player = Player(network, torch.optim.Adam(network.parameters()), 0.1, gradient_clip=1.0)
    terms = {"pixel": (network.weight * 0).sqrt().sum()}
    with pytest.raises(Diverged, match="step 1: generator_gradient_norm = nan"):
        descend(player, "generator", terms, step=0)
    assert same(parameters(network), before)


def test_divergence_keeps_the_last_good_checkpoint(training, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    state, plan = training("pretrain")

    def diverging(state, batch):
        if state.step == 2:
            batch = Batch(batch.clean * math.nan, batch.noisy, batch.sigma)
        return plan.step(state, batch)

    with pytest.raises(Diverged, match="step 3: pixel = nan"):
        run(state, Plan(plan.settings, plan.data, diverging, plan.validate), tmp_path)
    kept = Checkpoint("t", "key", root=tmp_path).load()
    assert kept["step"] == 2
    assert all(value.isfinite().all() for value in kept["generator"]["network"].values())


def test_a_last_update_that_breaks_the_weights_is_not_saved(training, tmp_path):
    state, plan = training("pretrain")
    figures = {"val_psnr": math.nan}
    with pytest.raises(Diverged, match="val_psnr = nan"):
        run(state, Plan(plan.settings, plan.data, plan.step, lambda _: figures), tmp_path)
    assert Checkpoint("t", "key", root=tmp_path).load() is None


@pytest.mark.parametrize("clip", [0.01, 1e9, None])
def test_gradients_are_clipped_to_the_norm_and_the_norm_before_is_told(clip):
    network = nn.Linear(2, 1, bias=False)
    before = network.weight.detach().clone()
    player = Player(network, torch.optim.SGD(network.parameters(), lr=1.0), 1.0, gradient_clip=clip)
    stats = descend(
        player, "generator", {"a": 3 * network.weight[0, 0], "b": 4 * network.weight[0, 1]}, step=0
    )
    moved = (network.weight - before).norm().item()
    assert stats["generator_gradient_norm"] == pytest.approx(5)
    assert moved == pytest.approx(min(5, clip or 5), rel=1e-3)


def test_frozen_stops_gradients_into_weights_and_only_there():
    network, image = nn.Conv2d(1, 1, 3), torch.rand(1, 1, 5, 5, requires_grad=True)
    with frozen(network):
        network(image).sum().backward()
    assert no_gradients(network)
    assert image.grad.abs().sum() > 0


def test_frozen_restores_after_an_exception():
    network = nn.Conv2d(1, 1, 3)
    with pytest.raises(ZeroDivisionError), frozen(network):
        1 / any(weight.requires_grad for weight in network.parameters())
    assert all(weight.requires_grad for weight in network.parameters())


# --- averages and rates ---


class Counter(nn.Module):
    """One weight and one buffer."""

    def __init__(self, value):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([float(value)]))
        self.register_buffer("seen", torch.tensor([int(value)]))


@pytest.mark.parametrize("images", [1, 16, 250])
def test_the_average_halves_what_it_held_after_its_half_life(images):
    ema, after = Ema(Counter(1), half_life_images=500), Counter(0)
    for step in range(1, 1 + 1000 // images):
        ema.update(after, images=images, images_seen=10**6)
        assert ema.network.weight.item() == pytest.approx(0.5 ** (step * images / 500), rel=1e-3)


def test_the_average_forgets_the_start_early_on():
    ema = Ema(Counter(1), half_life_images=2000)
    ema.update(Counter(0), images=16, images_seen=16)
    assert ema.network.weight.item() == pytest.approx(2**-10, rel=1e-3)
    # The half-life is a tenth of what was seen, until it reaches its own length.
    for seen, half_life in ((10_000, 1000), (20_000, 2000), (80_000, 2000)):
        ema = Ema(Counter(1), half_life_images=2000)
        ema.update(Counter(0), images=16, images_seen=seen)
        assert ema.network.weight.item() == pytest.approx(0.5 ** (16 / half_life), rel=1e-5)


def test_the_average_copies_buffers_and_is_a_network_of_its_own():
    network = Counter(3)
    ema = Ema(network, half_life_images=100)
    assert ema.network is not network
    assert not ema.network.weight.requires_grad
    assert not ema.network.training
    ema.update(Counter(9), images=1, images_seen=1000)
    assert ema.network.seen.item() == 9
    assert (network.seen.item(), network.weight.item()) == (3, 3)


@pytest.mark.parametrize(("steps", "warmup"), [(1200, 100), (300, 30), (10, 0), (1, 0), (5, 5), (6, 1)])
def test_the_rate_rises_in_a_line_and_falls_in_half_a_cosine(steps, warmup):
    rates = [warmup_cosine(step, steps=steps, warmup_steps=warmup) for step in range(steps)]
    assert rates[:warmup] == pytest.approx([(step + 1) / warmup for step in range(warmup)])
    falling = [math.cos(math.pi / 2 * step / (steps - warmup)) ** 2 for step in range(steps - warmup)]
    assert rates[warmup:] == pytest.approx(falling)
    assert all(0 < rate <= 1 for rate in rates)
    assert max(rates) == 1
    assert (
        warmup_cosine(steps, steps=steps, warmup_steps=warmup) == pytest.approx(0, abs=1e-12)
        or warmup == steps
    )


# --- validation ---


@pytest.fixture
def val_set(tmp_path, photo):
    """Three validation images at two levels, one of them smaller than the crop."""
    for name, shape in (("a", (40, 51)), ("b", (64, 64)), ("c", (64, 64))):
        write_image(tmp_path / "raw" / "val" / f"{name}.png", photo[: shape[0], : shape[1]])

    def degrade(clean, level, *, generator):
        return clean + level * torch.randn(clean.shape, generator=generator), level

    make_noisy_sets(tmp_path / "raw", tmp_path / "noisy", [("s_1", 0.1), ("s_2", 0.2)], degrade, seed=0)
    return NoisySet("val", noisy=tmp_path / "noisy", raw=tmp_path / "raw")


def test_validation_measures_the_averaged_weights_on_centres(make_params, val_set):
    params = make_params({"validation": {"images": 2, "crop_px": 48}})
    shown = []
    validator = Validator(
        val_set, params.validation, stride=4, pictures=3, show=lambda *call: shown.append(call)
    )
    state = start_state(build_generator(params.model, 3), params.pretrain, CPU)
    with torch.no_grad():  # the averaged network alone must count
        for weight in state.generator.network.parameters():
            weight.fill_(math.nan)
    state.step = 7
    figures = validator(state)
    expected = []
    windows = {"a": (slice(0, 40), slice(1, 49)), "b": (slice(8, 56), slice(8, 56))}
    for pair in val_set:
        if window := windows.get(pair.name):
            noisy, clean = to_8_bit(pair.noisy[window]), pair.clean[window]
            expected.append([measure(noisy, clean, data_range=1.0) for measure in (psnr, ssim)])
    assert len(expected) == 4
    assert list(figures.values()) == pytest.approx(list(np.mean(expected, axis=0)), rel=1e-5)
    assert list(figures) == ["val_psnr", "val_ssim"]
    assert [call[:2] for call in shown] == [("a s_1", 7), ("b s_1", 7), ("a s_2", 7)]
    assert shown[0][2].shape == (40, 48, 3)


def test_the_rate_is_known_where_bars_are_switched_off(training, monkeypatch):
    monkeypatch.setattr(progress, "tqdm", partial(progress.tqdm, disable=True))  # as TQDM_DISABLE=1 does
    _, plan = training("pretrain")
    with progress.Progress("pretrain", plan.settings, 0) as line:
        assert line.rate == 0
        line.advance({"pixel": 1.0})
        assert line.rate > 0
