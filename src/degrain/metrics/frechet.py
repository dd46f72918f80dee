"""The Frechet distance between two sets of vectors, each taken for Gaussian."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Gaussian(NamedTuple):
    """mean (D,) and covariance (D, D)."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


class Moments:
    """The Gaussian of vectors that come in parts."""

    def __init__(self) -> None:
        self.count = 0
        self._sum: NDArray[np.float64] = np.zeros(1)  # of D with the first vectors
        self._products: NDArray[np.float64] = np.zeros((1, 1))

    def add(self, vectors: NDArray[np.floating]) -> None:
        """Take in vectors (N, D), always of one D."""
        double = vectors.astype(np.float64)
        self.count += len(double)
        self._sum = self._sum + double.sum(axis=0)
        self._products = self._products + double.T @ double

    def gaussian(self) -> Gaussian:
        """The Gaussian of all that came, at least two vectors."""
        mean = self._sum / self.count
        covariance = (self._products - self.count * np.outer(mean, mean)) / (self.count - 1)
        return Gaussian(mean, covariance)


def gaussian_frechet(one: Gaussian, other: Gaussian) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), in units of the vectors squared; 0 for equal Gaussians.

    Source: Dowson and Landau, "The Frechet distance between multivariate normal distributions", 1982; on
    features of networks, Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local
    Nash Equilibrium", 2017.
    """
    root = _root(one.covariance)
    # C1 C2 has the eigenvalues of this symmetric matrix.
    mixed = np.linalg.eigvalsh(root @ other.covariance @ root)
    spread = np.trace(one.covariance) + np.trace(other.covariance) - 2 * np.sqrt(mixed.clip(min=0)).sum()
    distance = np.square(one.mean - other.mean).sum() + spread
    return max(0.0, float(distance))  # rounding can fall below 0


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(covariance)
    root: NDArray[np.float64] = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    return root
