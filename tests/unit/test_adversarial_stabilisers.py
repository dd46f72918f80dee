"""Adversarial training with each of its choices; with none of them it is the plain step."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch.nn import functional as F

from degrain.build.adversarial_losses import ADVERSARIAL, LABELLED, adversarial_pair
from degrain.compute import Engine
from degrain.params import ParamsError
from degrain.training.loop import advance
from degrain.training.schedule import warmup_cosine
from degrain.training.state import Memory, frozen
from degrain.training_params import LABELLED as WITH_LABELS
from degrain.training_params import AdversarialLoss
from perceptual_support import needs_perceptual
from support import merged
from training_support import STABILISED, adversarial_training, parameters, same, small_dataset

BFLOAT16 = Engine(torch.device("cpu"), torch.bfloat16)
SINGLY = {
    **{name: {name: STABILISED["stabilisers"][name]} for name in STABILISED["stabilisers"]},
    "all": STABILISED["stabilisers"],
}


@pytest.fixture
def training(make_params, photo, tmp_path):
    """(state, plan) of small networks on a photograph, with changes to the section train."""

    def make(changes=None, **arguments):
        params = make_params({"train": changes or {}})
        data = small_dataset(params, params.train, photo, tmp_path / "patches")
        return adversarial_training(params, data, **arguments)

    return make


# --- off: nothing changes ---


def plain_training(state, plan, steps):
    """What adversarial training comes to without any stabiliser, in a few lines of its own."""
    generator, critic = (copy.deepcopy(player.network) for player in state.players().values())
    settings = plan.settings
    restorer = torch.optim.AdamW(
        generator.parameters(), lr=1, betas=(0.9, 0.99), weight_decay=settings.weight_decay, fused=True
    )
    judge = torch.optim.Adam(critic.parameters(), lr=1, betas=(0.5, 0.99), fused=True)
    for step in range(steps):
        factor = warmup_cosine(step, steps=settings.steps, warmup_steps=settings.warmup_steps)
        restorer.param_groups[0]["lr"] = settings.lr * factor
        judge.param_groups[0]["lr"] = settings.discriminator_lr * factor
        batch = plan.data.batch(step)
        with state.engine.autocast():
            restored = generator(batch.noisy, batch.sigma)
            real, fake = critic(batch.clean).logits.float(), critic(restored.detach()).logits.float()
        per_image = [F.softplus(logits).flatten(1).mean(1) for logits in (-real, fake)]
        critic.zero_grad()
        (per_image[0] + per_image[1]).mean().backward()
        judge.step()

        with frozen(critic), state.engine.autocast():
            with torch.no_grad():
                truth = critic(batch.clean)
            judged = critic(restored)
            layers = [
                (mine.float() - theirs.float()).abs().flatten(1).mean(1)
                for mine, theirs in zip(judged.features, truth.features, strict=True)
            ]
            fooling = F.softplus(-judged.logits.float()).flatten(1).mean(1).mean()
        distance = (restored - batch.clean).abs().flatten(1).mean(1).mean()
        matching = torch.stack(layers).mean(0).mean()
        generator.zero_grad()
        weights = (settings.pixel.weight, settings.adversarial.weight, settings.feature_matching.weight)
        terms = zip((distance, fooling, matching), weights, strict=True)
        torch.stack([term * weight for term, weight in terms]).sum().backward()
        torch.nn.utils.clip_grad_norm_(generator.parameters(), settings.gradient_clip)
        restorer.step()
    return generator, critic


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_default_adversarial_training_is_the_plain_one_bit_for_bit(training, dtype):
    state, plan = training(engine=Engine(torch.device("cpu"), dtype))
    assert (plan.settings.adversarial.loss, plan.settings.pixel.loss) == ("non-saturating", "l1")
    expected = plain_training(state, plan, 4)
    for step in range(4):
        advance(state, plan.data.batch(step), plan)
    for player, network in zip(state.players().values(), expected, strict=True):
        assert same(dict(player.network.state_dict()), dict(network.state_dict()))
    assert vars(state.memory) == vars(Memory())


# --- on: everything runs ---


def run_some_steps(state, plan):
    before = {name: parameters(player.network) for name, player in state.players().items()}
    stats = [advance(state, plan.data.batch(step), plan) for step in range(2)]
    assert all(math.isfinite(value) for row in stats for value in row.values())
    for name, player in state.players().items():
        now = parameters(player.network)
        assert all(value.isfinite().all() for value in now.values())
        assert not same(now, before[name])
    return stats


@pytest.mark.parametrize("loss", ADVERSARIAL)
@pytest.mark.parametrize("stabilised", [False, True])
def test_every_adversarial_loss_runs(training, loss, stabilised):
    changes = (
        merged(STABILISED, {"adversarial": {"loss": loss}}) if stabilised else {"adversarial": {"loss": loss}}
    )
    if stabilised and loss not in WITH_LABELS:
        changes["stabilisers"] = changes["stabilisers"] | {"label_smoothing": 0.0}
    stats = run_some_steps(*training(changes, engine=BFLOAT16))
    assert ("gradient_penalty" in stats[0]) == (stabilised or loss == "wasserstein")


@pytest.mark.parametrize(
    ("name", "kind"), [*((name, "unet") for name in SINGLY), ("all", "patchgan"), ("all", "dcgan")]
)
def test_every_stabiliser_runs_and_changes_the_discriminator(training, name, kind):
    critic = {"discriminator": {"kind": kind, "conditional": True}}
    state, plan = training(critic | {"stabilisers": SINGLY[name]}, engine=BFLOAT16)
    state.memory.augmentation = 0.5 if name in ("augmentation", "all") else 0.0
    run_some_steps(state, plan)
    plain, plan = training(critic, engine=BFLOAT16)
    run_some_steps(plain, plan)
    assert not same(parameters(state.discriminator.network), parameters(plain.discriminator.network))


@pytest.mark.parametrize("kind", ["unet", "patchgan", "dcgan"])
def test_minibatch_deviation_is_seen_by_the_discriminator(training, kind):
    state, plan = training({"discriminator": {"kind": kind, "minibatch_std": True}})
    run_some_steps(state, plan)
    network, image = state.discriminator.network.eval(), plan.data.batch(0).clean
    alike = torch.cat([image[:1], image[:1]])
    assert not torch.allclose(network(alike).logits[0], network(image).logits[0])


@pytest.mark.parametrize("name", ["ms_ssim", "focal_frequency", "perceptual"])
def test_a_further_term_of_the_generator_is_weighted_and_moves_it_alone(training, name):
    if name == "perceptual":
        needs_perceptual()
    others = ("pixel", "adversarial", "feature_matching")
    state, plan = training({term: {"weight": 0.0} for term in others} | {name: {"weight": 0.5}})
    row = run_some_steps(state, plan)[0]
    assert row.keys() >= {name, "pixel", "adversarial"}
    assert "feature_matching" not in row  # what is switched off is not computed
    twice, plan = training({name: {"weight": 1.0}})
    once, half = training({name: {"weight": 0.5}})
    rows = [advance(*pair[:1], plan.data.batch(0), pair[1])[name] for pair in ((twice, plan), (once, half))]
    assert rows[0] == pytest.approx(2 * rows[1])


# --- what each does over the steps ---


def test_lazy_penalties_come_every_so_many_steps_and_count_as_many_times(training):
    rows = {}
    for every in (1, 3):
        state, plan = training({"stabilisers": {"r1": {"weight": 1.0, "every": every}}})
        rows[every] = [advance(state, plan.data.batch(step), plan) for step in range(4)]
    assert ["r1" in row for row in rows[3]] == [True, False, False, True]
    assert all("r1" in row for row in rows[1])
    assert rows[3][0]["r1"] == pytest.approx(3 * rows[1][0]["r1"])


@pytest.mark.parametrize(
    ("loss", "weight", "expected"),
    [("wasserstein", "auto", 10), ("wasserstein", 0, 0), ("hinge", "auto", 0), ("hinge", 2.5, 2.5)],
)
def test_the_gradient_penalty_comes_with_wasserstein(training, loss, weight, expected):
    changes = {"adversarial": {"loss": loss}, "stabilisers": {"gradient_penalty": {"weight": weight}}}
    _, plan = training(changes)
    assert plan.step.stabilisers.gradient_penalty_weight == expected


def test_historical_averaging_compares_with_the_mean_of_all_steps(training):
    state, plan = training({"stabilisers": {"historical_averaging": {"weight": 2.0}}})
    seen, stats = {"generator": [], "discriminator": []}, []
    for step in range(4):
        for name, player in state.players().items():
            seen[name].append(torch.cat([w.detach().flatten().double() for w in player.network.parameters()]))
        stats.append(advance(state, plan.data.batch(step), plan))
    for name, weights in seen.items():
        average = torch.stack(weights).mean(0)
        torch.testing.assert_close(state.memory.averages[name].double(), average, rtol=1e-4, atol=1e-6)
        distance = (weights[-1] - average).square().sum().item()
        assert stats[-1][f"{name}_history"] == pytest.approx(2 * distance, rel=1e-2)
        assert stats[0][f"{name}_history"] == 0


def test_lecam_compares_with_moving_averages_of_the_steps_before(training):
    """A single score a step, whose mean square is the square of its mean."""
    lecam = {"lecam": {"weight": 0.3, "decay": 0.9}}
    state, plan = training({"batch_size": 1, "discriminator": {"kind": "dcgan"}, "stabilisers": lecam})
    real = fake = 0.0
    for step in range(3):
        row = advance(state, plan.data.batch(step), plan)
        squares = (row["real_logit"] - fake) ** 2 + (row["fake_logit"] - real) ** 2
        assert row["lecam"] == pytest.approx(0.3 * squares, rel=1e-4)
        real, fake = 0.9 * real + 0.1 * row["real_logit"], 0.9 * fake + 0.1 * row["fake_logit"]
        assert (state.memory.real_logit, state.memory.fake_logit) == pytest.approx((real, fake))


@pytest.mark.parametrize("loss", ["non-saturating", "lsgan", "relativistic-pairing"])
def test_the_augmentation_follows_how_sure_the_discriminator_is(training, loss):
    adaptive = {"enabled": True, "target": 0.6, "ramp_images": 10}
    state, plan = training({"adversarial": {"loss": loss}, "stabilisers": {"augmentation": adaptive}})
    remember, logits = plan.step.stabilisers.remember, torch.ones(2, 1, 4, 4)
    seen = [remember(state, logits, -logits)["augmentation"] for _ in range(5)]
    assert seen == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8])  # 2 images a step, of 10; never above 0.8
    half_sure = logits.clone()
    half_sure[:, :, :1] = -1  # mean sign 0.5
    assert remember(state, half_sure, -logits * 0)["augmentation"] == pytest.approx(0.6)
    # A logit on both sides alike says something where the logits are not relative,
    rising = remember(state, logits, logits)["augmentation"] > 0.6
    assert rising == (loss in ("non-saturating", "lsgan"))
    # unless it is half way between the labels.
    before, unsure = state.memory.augmentation, logits * (plan.step.adversarial.threshold or 0)
    assert remember(state, unsure, unsure)["augmentation"] < before
    for _ in range(9):
        remember(state, -logits, logits)
    assert state.memory.augmentation == 0


def test_instance_noise_falls_in_a_line_to_none(training):
    noise = {"sigma_255": 51, "until": 0.5}
    _, plan = training({"steps": 100, "warmup_steps": 1, "stabilisers": {"instance_noise": noise}})
    sigmas = [plan.step.stabilisers.instance_sigma(step) for step in (0, 25, 49, 50, 99)]
    assert sigmas == pytest.approx([0.2, 0.1, 0.004, 0, 0])


def test_disguises_change_with_step_and_seed_and_are_the_same_in_both_turns(training):
    state, plan = training({"stabilisers": {"instance_noise": {"sigma_255": 25, "until": 1.0}}})
    batch, stabilisers = plan.data.batch(0), plan.step.stabilisers
    shown = stabilisers.disguise(state, batch, batch.noisy)
    assert same(stabilisers.disguise(state, batch, batch.noisy), shown)
    assert not same(replace(stabilisers, seed=1).disguise(state, batch, batch.noisy).clean, shown.clean)
    state.step = 1
    assert not same(stabilisers.disguise(state, batch, batch.noisy).clean, shown.clean)


# --- labels and params ---


def test_a_smoothed_label_moves_where_the_discriminator_is_content():
    """The best logit of a real image is that of the label, not infinity; fake ones are left alone."""
    real = torch.linspace(-8, 8, 1601, dtype=torch.float64).view(-1, 1)
    fake = torch.zeros_like(real)
    best = {"minimax": math.log(0.9 / 0.1), "non-saturating": math.log(0.9 / 0.1), "lsgan": 0.9}
    for name, logit in best.items():
        plain, smoothed = ADVERSARIAL[name], adversarial_pair(name, real_label=0.9)
        losses = smoothed.discriminator(real, fake)
        assert real[losses.argmin()].item() == pytest.approx(logit, abs=0.01)
        assert smoothed.generator is plain.generator
        by_fake = smoothed.discriminator(fake, real) - plain.discriminator(fake, real)
        torch.testing.assert_close(by_fake, by_fake[:1].expand_as(by_fake))


def test_smoothed_cross_entropy_is_that_of_the_label():
    logits, nothing = torch.randn(5, 3, dtype=torch.float64), torch.full((5, 3), -100.0, dtype=torch.float64)
    expected = F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, 0.8), reduction="none")
    loss = adversarial_pair("non-saturating", real_label=0.8).discriminator(logits, nothing)
    torch.testing.assert_close(loss, expected.mean(1))


def test_every_name_in_the_params_is_a_loss():
    assert set(get_args(AdversarialLoss)) == set(ADVERSARIAL)
    assert set(WITH_LABELS) == set(LABELLED)


def test_a_further_term_does_not_go_with_samples(make_params):
    with pytest.raises(
        ParamsError, match=r"train\.focal_frequency\.weight = 0\.5; expected 0 with model\.sto"
    ):
        make_params({"model": {"stochastic": True}, "train": {"focal_frequency": {"weight": 0.5}}})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"adversarial": {"loss": "hinge"}, "stabilisers": {"label_smoothing": 0.1}},
            "train.stabilisers.label_smoothing = 0.1; expected 0 with train.adversarial.loss = hinge",
        ),
        (
            {"batch_size": 1, "discriminator": {"minibatch_std": True}},
            "train.batch_size = 1; expected at least 2 with train.discriminator.minibatch_std",
        ),
        (
            {"stabilisers": {"gradient_penalty": {"weight": "on"}}},
            "train.stabilisers.gradient_penalty.weight = 'on';",
        ),
        (
            {"patch_size": 8, "ms_ssim": {"weight": 1}},
            "train.patch_size = 8; expected at least 11 with train.ms_ssim",
        ),
        ({"stabilisers": {"label_smoothing": 0.6}}, "train.stabilisers.label_smoothing = 0.6;"),
        ({"stabilisers": {"r1": {"every": 0}}}, "train.stabilisers.r1.every = 0;"),
    ],
)
def test_what_cannot_be_is_refused(make_params, changes, said):
    with pytest.raises(ParamsError) as caught:
        make_params({"train": changes})
    assert said in str(caught.value)
