from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from degrain.errors import DegrainError
from degrain.promote_params import Promote
from degrain.promotion import Measures, References, decide

LEVELS = ("sigma_15", "sigma_50")
PSNR = {"sigma_15": 33.0, "sigma_50": 28.0}
REFERENCES = References({"sigma_15": 25.0, "sigma_50": 15.0}, {"sigma_15": 31.5, "sigma_50": 26.0})
RULES = Promote(
    psnr_gain_db=0.05,
    ssim_loss=0.002,
    gmsd_rise=0.002,
    level_loss_db=0.05,
    over_noisy_db=0.5,
    over_filter_db=0.05,
    confidence=0.95,
    ms_per_mpx=2000,
    size_mb=10,
    floor={"psnr_db": 25.0, "ssim": 0.7},
)


def measures(sha256="old", images=12, **changes):
    """Images that differ by decibels from one another; what the model adds is the same for all."""
    rng = np.random.default_rng(7)
    names = [f"image{index}" for index in range(images)]
    own = dict(zip(names, rng.normal(0, 3, images), strict=True))
    rows = [(name, level, PSNR[level] + own[name], 0.9, 0.05) for name in names for level in LEVELS]
    blocks = [
        (name, level, block, PSNR[level] + own[name] + block)
        for name in names
        for level in LEVELS
        for block in range(4)
    ]
    frame = pd.DataFrame(rows, columns=["name", "level", "psnr", "ssim", "gmsd"])
    parts = pd.DataFrame(blocks, columns=["name", "level", "block", "psnr"])
    return replace(Measures(sha256, "files", frame, parts, 1000.0, 2.0), **changes)


def better(base, db=0.1, level=None, sha256="new", **columns):
    """The same model, better by so many decibels, at all levels or one."""

    def raised(frame):
        gain = np.where(frame["level"] == level, db, 0.0) if level else db
        return frame.assign(psnr=frame["psnr"] + gain)

    images = raised(base.images)
    for column, change in columns.items():
        images[column] += change
    return replace(base, sha256=sha256, images=images, blocks=raised(base.blocks))


def failed(decision):
    return [verdict.rule for verdict in decision.verdicts if verdict.counts and not verdict.passed]


@pytest.mark.parametrize("images", [2, 9, 10, 30])
def test_what_is_better_in_everything_is_promoted(images):
    old = measures(images=images)
    decision = decide(better(old), old, REFERENCES, RULES)
    assert (decision.outcome, failed(decision)) == ("promoted", [])
    assert (decision.challenger, decision.champion, decision.images) == ("new", "old", images)
    assert len(decision.verdicts) == 9


def worse_at_one_level(old):
    return better(better(old, 0.4, "sigma_15"), -0.1, "sigma_50")


def better_on_some_images_only(old):
    names = sorted(old.images["name"].unique())
    gain = dict(zip(names, np.linspace(-3, 3.3, len(names)), strict=True))
    return replace(
        old, sha256="new", images=old.images.assign(psnr=old.images["psnr"] + old.images["name"].map(gain))
    )


@pytest.mark.parametrize(
    ("challenger", "rule"),
    [
        (lambda old: better(old, 0.04), "PSNR gain over the champion"),
        (lambda old: better(old, ssim=-0.003), "SSIM loss against the champion"),
        (lambda old: better(old, gmsd=0.003), "perceptual distance (GMSD) above the champion's"),
        (worse_at_one_level, "PSNR loss at the worst level"),
        (better_on_some_images_only, "confidence that the PSNR gain is above 0"),
        (lambda old: replace(better(old), ms_per_mpx=2001.0), "time"),
        (lambda old: replace(better(old), size_mb=10.1), "size"),
    ],
)
def test_each_rule_alone_refuses(challenger, rule):
    old = measures()
    decision = decide(challenger(old), old, REFERENCES, RULES)
    assert (decision.outcome, failed(decision)) == ("refused", [rule])


@pytest.mark.parametrize("which", ["noisy", "filter"])
def test_what_a_reference_beats_is_refused(which):
    old = measures()
    high = {level: value + 5 for level, value in PSNR.items()}
    decision = decide(better(old), old, replace(REFERENCES, **{which: high}), RULES)
    name = {"noisy": "the noisy images", "filter": "the best classical filter"}[which]
    assert failed(decision) == [f"PSNR above {name}"]


@pytest.mark.parametrize(
    ("psnr", "ssim", "outcome"), [(25, 0.7, "promoted"), (31, 0.7, "refused"), (25, 0.91, "refused")]
)
def test_without_a_champion_the_floor_alone_decides(psnr, ssim, outcome):
    rules = RULES.model_copy(update={"floor": RULES.floor.model_copy(update={"psnr_db": psnr, "ssim": ssim})})
    slow_and_below_the_filter = replace(measures("new", images=200), ms_per_mpx=1e6)
    high = References(REFERENCES.noisy, dict.fromkeys(LEVELS, 50.0))
    decision = decide(slow_and_below_the_filter, None, high, rules)
    assert (decision.outcome, decision.champion) == (outcome, None)
    assert sum(verdict.counts for verdict in decision.verdicts) == 2
    assert [one.passed for one in decision.verdicts if not one.counts] == [True, False, False, True]


def test_champion_again_changes_nothing():
    old = measures()
    decision = decide(replace(old), old, REFERENCES, RULES)
    assert (decision.outcome, failed(decision)) == ("unchanged", [])


def test_other_test_files_are_not_compared():
    old = measures()
    with pytest.raises(DegrainError, match="expected the same"):
        decide(replace(better(old), test_sha256="others"), old, REFERENCES, RULES)


def test_few_images_are_compared_block_by_block_and_it_says_so():
    for images, over in ((9, "36 blocks of 128 px"), (10, "10 images")):
        old = measures(images=images)
        [note] = [
            one.note
            for one in decide(better(old), old, REFERENCES, RULES).verdicts
            if "confidence" in one.rule
        ]
        assert over in note
        assert ("fewer than 10 images" in note) == (images < 10)


def test_one_block_gives_no_confidence():
    old = measures(images=1)
    old = replace(old, blocks=old.blocks[old.blocks["block"] == 0])
    assert failed(decide(better(old), old, REFERENCES, RULES)) == ["confidence that the PSNR gain is above 0"]
    without = RULES.model_copy(update={"confidence": 0.0})
    assert decide(better(old), old, REFERENCES, without).outcome == "promoted"


def test_images_are_paired():
    """A gain that all images share is sure, however much the images differ from one another."""
    old = measures()
    assert old.images["psnr"].std() > 2
    [verdict] = [
        one for one in decide(better(old, 0.06), old, REFERENCES, RULES).verdicts if "confidence" in one.rule
    ]
    assert verdict.figure == 1.0


def test_chance_alone_seldom_convinces():
    """A model that is no better passes the rule of confidence about as often as it may."""
    rng, passed = np.random.default_rng(0), 0
    old = measures(images=20)
    for _ in range(100):
        luck = dict(zip(old.images["name"].unique(), rng.normal(0, 0.3, 20), strict=True))
        new = replace(
            old,
            sha256="new",
            images=old.images.assign(psnr=old.images["psnr"] + old.images["name"].map(luck)),
        )
        [verdict] = [one for one in decide(new, old, REFERENCES, RULES).verdicts if "confidence" in one.rule]
        passed += verdict.passed
    assert passed <= 10


def test_decision_is_repeatable_and_leaves_its_measures_alone():
    old = measures()
    new = better_on_some_images_only(old)
    before = new.images.copy()
    assert decide(new, old, REFERENCES, RULES) == decide(new, old, REFERENCES, RULES)
    pd.testing.assert_frame_equal(new.images, before)
