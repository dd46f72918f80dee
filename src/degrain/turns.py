"""The eight symmetries of a square: mirrored, turned, or both."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True)
class Turn:
    """One of them: rows in reverse order, columns in reverse order, then rows and columns swapped."""

    rows_reversed: bool = False
    columns_reversed: bool = False
    swapped: bool = False

    def apply(self, image: NDArray[Value]) -> NDArray[Value]:
        """Turn (H, W, C); a view, nothing is copied."""
        turned = self._reverse(image)
        return turned.swapaxes(0, 1) if self.swapped else turned

    def undo(self, image: NDArray[Value]) -> NDArray[Value]:
        """Turn (H, W, C) back; a view, nothing is copied."""
        return self._reverse(image.swapaxes(0, 1) if self.swapped else image)

    def _reverse(self, image: NDArray[Value]) -> NDArray[Value]:
        return image[:: -1 if self.rows_reversed else 1, :: -1 if self.columns_reversed else 1]


TURNS = tuple(Turn(*flags) for flags in product((False, True), repeat=3))
UPRIGHT = TURNS[0]
