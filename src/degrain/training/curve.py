"""The curve of a training as a file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from degrain.files import write_csv


def write_curve(path: Path, curve: list[dict[str, float | str]]) -> None:
    """One row a validation: the step, mean losses since the last row, and figures; 6 digits."""
    table = pd.DataFrame(curve).astype({"step": int})
    write_csv(path, table.map(lambda value: float(f"{value:.6g}") if isinstance(value, float) else value))
