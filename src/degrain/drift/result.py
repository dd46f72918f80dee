"""What a check found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from degrain.drift.compare import Comparison, Settings
from degrain.errors import ImageFileError


@dataclass(frozen=True)
class Result:
    """The verdict and what it rests on.

    source : where the reference came from.
    reference, incoming : tables of features; the names in `incoming` are its files.
    unreadable : files that were left out.
    """

    source: Path
    reference: pd.DataFrame
    incoming: pd.DataFrame
    unreadable: Sequence[ImageFileError]
    settings: Settings
    comparisons: Sequence[Comparison]

    @property
    def drifted(self) -> list[Comparison]:
        """What counts as drift, the farthest first."""
        return sorted((one for one in self.comparisons if one.drifted), key=lambda one: -one.distance)

    @property
    def counts(self) -> str:
        """How much was compared, in words."""
        return f"{len(self.incoming)} images beside {len(self.reference)} of {self.source}"

    @property
    def verdict(self) -> str:
        """In a few words."""
        found = f"drift in {len(self.drifted)} of {len(self.comparisons)} features"
        return found if self.drifted else "no drift"

    def __str__(self) -> str:
        """The verdict, and a line for each feature that has drifted."""
        return "\n".join([f"{self.verdict}: {self.counts}", *(f"  {one}" for one in self.drifted)])
