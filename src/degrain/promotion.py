"""The gate: measures in, Decision out; no side effects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from degrain.errors import DegrainError
from degrain.promote_params import Promote

Outcome = Literal["promoted", "refused", "unchanged"]
By = Mapping[str, float]

FEWEST_IMAGES = 10  # with fewer, the bootstrap is over blocks
BLOCK_PX = 128
RESAMPLES = 9999


@dataclass(frozen=True)
class Measures:
    """What a model showed on the test set.

    Attributes
    ----------
    sha256 : of the weights; test_sha256 : of the test files that it was measured on.
    images : a row for each image and level: name, level, psnr (dB), ssim, gmsd.
    blocks : a row for each block of each image and level: name, level, block, psnr (dB).
    ms_per_mpx : milliseconds a megapixel; size_mb : of the file of weights, in 10^6 bytes.
    """

    sha256: str
    test_sha256: str
    images: pd.DataFrame
    blocks: pd.DataFrame
    ms_per_mpx: float
    size_mb: float

    def mean(self, measure: str) -> float:
        """Over images and levels, every level counting the same."""
        return float(self.by_level(measure).mean())

    def by_level(self, measure: str) -> pd.Series[float]:
        """The mean over the images, by level."""
        return self.images.groupby("level", sort=False)[measure].mean()


@dataclass(frozen=True)
class References:
    """PSNR in dB by level of the noisy images, and of the classical filter that is best at the level."""

    noisy: By
    filter: By


@dataclass(frozen=True)
class Verdict:
    """What one rule says: `figure` must be at least (">=") or at most ("<=") `limit`.

    Attributes
    ----------
    counts : whether it has a say; otherwise it is for information.
    """

    rule: str
    figure: float
    relation: Literal[">=", "<="]
    limit: float
    unit: str
    passed: bool
    note: str = ""
    counts: bool = True


@dataclass(frozen=True)
class Decision:
    """What the gate says, and why.

    Attributes
    ----------
    outcome : promoted, refused, or unchanged where the challenger is the champion already.
    champion : SHA-256 of the champion's weights, None if there is no champion.
    """

    outcome: Outcome
    challenger: str
    champion: str | None
    test_sha256: str
    images: int
    levels: tuple[str, ...]
    verdicts: tuple[Verdict, ...]


def decide(
    challenger: Measures, champion: Measures | None, references: References, rules: Promote
) -> Decision:
    """Whether the challenger takes the champion's place.

    Without a champion, the absolute floor alone decides.

    Raises
    ------
    DegrainError : the two were not measured on the same test files.
    """
    if champion and champion.test_sha256 != challenger.test_sha256:
        msg = (
            f"challenger measured on the test files {challenger.test_sha256}, champion on "
            f"{champion.test_sha256}; expected the same: measure both again"
        )
        raise DegrainError(msg)
    is_new = champion is None or champion.sha256 != challenger.sha256
    verdicts = tuple(_verdicts(challenger, champion if is_new else None, references, rules))
    if champion is None:
        verdicts = (*_floor(challenger, rules), *verdicts)
    passed = all(verdict.passed for verdict in verdicts if verdict.counts)
    return Decision(
        outcome=("promoted" if passed else "refused") if is_new else "unchanged",
        challenger=challenger.sha256,
        champion=champion.sha256 if champion else None,
        test_sha256=challenger.test_sha256,
        images=challenger.images["name"].nunique(),
        levels=tuple(map(str, challenger.images["level"].unique())),
        verdicts=verdicts,
    )


def _verdicts(
    challenger: Measures, other: Measures | None, references: References, rules: Promote
) -> Iterator[Verdict]:
    """The rules but for the floor; without another to compare with, those that are left only inform."""
    if other:
        yield from _against_champion(challenger, other, rules)
    for verdict in _on_its_own(challenger, references, rules):
        yield replace(verdict, counts=other is not None)


def _floor(challenger: Measures, rules: Promote) -> Iterator[Verdict]:
    yield at_least("PSNR, no champion yet", challenger.mean("psnr"), rules.floor.psnr_db, "dB")
    yield at_least("SSIM, no champion yet", challenger.mean("ssim"), rules.floor.ssim, "")


def _against_champion(challenger: Measures, champion: Measures, rules: Promote) -> Iterator[Verdict]:
    gain = challenger.mean("psnr") - champion.mean("psnr")
    yield at_least("PSNR gain over the champion", gain, rules.psnr_gain_db, "dB")
    loss = champion.mean("ssim") - challenger.mean("ssim")
    yield at_most("SSIM loss against the champion", loss, rules.ssim_loss, "")
    rise = challenger.mean("gmsd") - champion.mean("gmsd")
    yield at_most("perceptual distance (GMSD) above the champion's", rise, rules.gmsd_rise, "")
    losses = champion.by_level("psnr") - challenger.by_level("psnr")
    worst = str(losses.idxmax())
    yield at_most("PSNR loss at the worst level", float(losses.max()), rules.level_loss_db, "dB", worst)
    if rules.confidence:
        yield _confidence(challenger, champion, rules.confidence)


def _on_its_own(challenger: Measures, references: References, rules: Promote) -> Iterator[Verdict]:
    for rule, reference, margin in (
        ("PSNR above the noisy images", references.noisy, rules.over_noisy_db),
        ("PSNR above the best classical filter", references.filter, rules.over_filter_db),
    ):
        above = challenger.by_level("psnr") - pd.Series(dict(reference))
        yield at_least(rule, float(above.mean()), margin, "dB")
    yield at_most("time", challenger.ms_per_mpx, rules.ms_per_mpx, "ms/Mpx")
    yield at_most("size", challenger.size_mb, rules.size_mb, "MB")


def _confidence(challenger: Measures, champion: Measures, wanted: float) -> Verdict:
    """How sure the gain is, by a paired bootstrap of its mean.

    Source: Efron and Tibshirani, "An introduction to the bootstrap", 1993, percentile method.
    """
    rule = "confidence that the PSNR gain is above 0"
    over, gains = _paired_gains(challenger, champion)
    if len(gains) < 2:
        return Verdict(rule, 0.0, ">=", wanted, "", passed=False, note=f"too few {over}: {len(gains)}")
    found = stats.bootstrap(
        (gains,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=100,
        confidence_level=0.95,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    low, high = found.confidence_interval
    note = f"paired bootstrap over {len(gains)} {over}; 95% interval {low:+.3f} to {high:+.3f} dB"
    if over != "images":
        note += f"; fewer than {FEWEST_IMAGES} images, and blocks of one image are alike"
    return at_least(rule, float((found.bootstrap_distribution > 0).mean()), wanted, "", note)


def _paired_gains(challenger: Measures, champion: Measures) -> tuple[str, NDArray[np.float64]]:
    """The gain in dB of each image, or of each block where images are few: the mean over its levels."""
    many = challenger.images["name"].nunique() >= FEWEST_IMAGES
    over, unit = ("images", ["name"]) if many else (f"blocks of {BLOCK_PX} px", ["name", "block"])
    ours, theirs = (
        (one.images if many else one.blocks).set_index([*unit, "level"])["psnr"]
        for one in (challenger, champion)
    )
    return over, (ours - theirs).groupby(unit).mean().to_numpy(np.float64)


def at_least(rule: str, figure: float, limit: float, unit: str, note: str = "") -> Verdict:
    """Passed where the figure reaches the limit."""
    return Verdict(rule, figure, ">=", limit, unit, figure >= limit, note)


def at_most(rule: str, figure: float, limit: float, unit: str, note: str = "") -> Verdict:
    """Passed where the figure stays within the limit."""
    return Verdict(rule, figure, "<=", limit, unit, figure <= limit, note)
