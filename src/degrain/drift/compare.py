"""Whether two tables of features could come from the same camera and the same kind of scene.

scipy's tests are enough: seven numbers an image, of some dozens of images. Evidently runs the same
test from scipy, and would bring thirty packages along.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, ks_2samp

from degrain.drift.features import FEATURES
from degrain.drift.table import DriftError

Values = NDArray[np.float64]

# Where to stop looking for the number of images that would be enough.
MANY = 1000


@dataclass(frozen=True)
class Settings:
    """When a difference counts.

    significance : how often at most, of checks on images that have not changed, one is found all the same.
    least_distance : between the distributions, from 0 (the same) to 1 (no overlap); less is no drift,
        however certain it is that there is a difference.
    ignored : features that are not compared.
    """

    significance: float = 0.01
    least_distance: float = 0.2
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class Spread:
    """Number of values, their median, and the quartiles below and above it."""

    count: int
    median: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Comparison:
    """One feature of the images that came in beside that of the reference.

    distance : Kolmogorov's, the largest difference between the shares of values below any number.
    p_value : how likely so large a distance is by chance, corrected for the number of features.
    """

    feature: str
    reference: Spread
    incoming: Spread
    distance: float
    p_value: float
    drifted: bool

    def __str__(self) -> str:
        """One line: what, from where to where, how sure."""
        title, unit = FEATURES[self.feature].title, FEATURES[self.feature].unit
        values = f"{self.reference.median:.3g} -> {self.incoming.median:.3g} {unit}".rstrip()
        return f"{title}: {values} (distance {self.distance:.2f}, p = {self.p_value:.2g})"


def compare(reference: pd.DataFrame, incoming: pd.DataFrame, settings: Settings) -> list[Comparison]:
    """Compare every feature that both have, in the order of `FEATURES`.

    Two-sample Kolmogorov-Smirnov tests, exact for small numbers, which assume nothing of the
    distributions; corrected by Benjamini and Yekutieli's procedure, which holds however the features
    depend on each other. What the images show is counted once for each scene of the reference, which
    holds it at several noise levels.

    Parameters
    ----------
    reference, incoming : tables of features.

    Raises
    ------
    DriftError : too few images for any difference to be certain.
    """
    pairs = {
        feature: (_values(reference, feature), _values(incoming, feature))
        for feature in FEATURES
        if feature not in settings.ignored
    }
    pairs = {feature: pair for feature, pair in pairs.items() if all(map(len, pair))}
    _check_enough(pairs, settings)
    with warnings.catch_warnings():
        # Where the exact way meets numbers that are too small, scipy takes the usual approximation.
        warnings.simplefilter("ignore", RuntimeWarning)
        tests = [ks_2samp(*pair) for pair in pairs.values()]
    p_values = false_discovery_control([test.pvalue for test in tests], method="by")
    return [
        Comparison(
            feature=feature,
            reference=_spread(old),
            incoming=_spread(new),
            distance=float(test.statistic),
            p_value=float(p),
            drifted=bool(p <= settings.significance and test.statistic >= settings.least_distance),
        )
        for (feature, (old, new)), test, p in zip(pairs.items(), tests, p_values, strict=True)
    ]


def _values(table: pd.DataFrame, feature: str) -> Values:
    """The values that could be told; of what images show, one for each scene."""
    values = table[feature]
    if not FEATURES[feature].of_noise:
        values = values.groupby(table["name"], sort=False).mean()
    return values.dropna().to_numpy(dtype=np.float64)


def _spread(values: Values) -> Spread:
    lower, median, upper = map(float, np.quantile(values, [0.25, 0.5, 0.75]))
    return Spread(len(values), median, lower, upper)


def _check_enough(pairs: dict[str, tuple[Values, Values]], settings: Settings) -> None:
    """Refuse to say that nothing has changed where no change could be found."""
    sizes = [(len(old), len(new)) for old, new in pairs.values()]
    if any(_least_p_value(*size, len(pairs)) <= settings.significance for size in sizes):
        return
    old, new = max(sizes, default=(0, 0))
    enough = (n for n in range(new, MANY) if _least_p_value(old, n, len(pairs)) <= settings.significance)
    wanted = next(enough, None)
    advice = f"give at least {wanted} images" if wanted else "take a reference of more images"
    msg = (
        f"{new} images beside {old} of the reference: too few for any difference to be certain at a "
        f"significance of {settings.significance:g}; {advice}"
    )
    raise DriftError(msg)


def _least_p_value(old: int, new: int, features: int) -> float:
    """Of samples without any overlap, corrected as if no other feature differed."""
    correction = features * sum(1 / rank for rank in range(1, features + 1))
    return correction * 2 / math.comb(old + new, new)
