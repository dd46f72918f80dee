"""The whole check: files in, verdict and report out."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from degrain.drift.compare import Settings, compare
from degrain.drift.features import FEATURES
from degrain.drift.report import write_report
from degrain.drift.result import Result
from degrain.drift.table import DriftError, describe_files, read_table, write_table
from degrain.errors import ImageFileError
from degrain.tracking.served import MODELS, fetch_reference


def check_drift(
    inputs: Sequence[Path], reference: Path, output: Path, settings: Settings, *, channels: int = 3
) -> Result:
    """Compare images with a reference; writes `drift.html`, `drift.json` and `features.csv`.

    Parameters
    ----------
    inputs : images, or folders of images.
    reference : a table of features; models:/NAME/VERSION or models:/NAME@ALIAS for what a registered model
        was made for; or an image or a folder of images.
    output : folder of the report. Its `features.csv` can be the reference of a later check.
    channels : 1 or 3, of a reference of images; a table says it itself.

    Raises
    ------
    DriftError : nothing can be compared; the message says what is missing.
    """
    _check_names(settings.ignored)
    old = _read_reference(reference, channels)
    new = describe_files(inputs, int(old["channels"].iloc[0]))
    comparisons = compare(old, new.table, settings)
    result = Result(reference, old, new.table, new.unreadable, settings, comparisons)
    write_table(output / "features.csv", new.table)
    write_report(output, result)
    return result


def make_reference(inputs: Sequence[Path], file: Path, channels: int) -> Sequence[ImageFileError]:
    """Write the table of features of images; returns those that could not be read."""
    described = describe_files(inputs, channels)
    write_table(file, described.table)
    return described.unreadable


def _read_reference(path: Path, channels: int) -> pd.DataFrame:
    if str(path).startswith(MODELS):
        with tempfile.TemporaryDirectory() as folder:
            return read_table(fetch_reference(str(path), Path(folder)))
    if not path.exists():
        msg = (
            f"{path}: no such reference; `dvc repro` makes reports/reference.csv of what the model was made "
            "for, `degrain drift IMAGES --write-reference FILE` one of your own images"
        )
        raise DriftError(msg)
    return read_table(path) if path.suffix == ".csv" else describe_files([path], channels).table


def _check_names(features: Sequence[str]) -> None:
    unknown = [feature for feature in features if feature not in FEATURES]
    if unknown:
        msg = f"--ignore {unknown[0]}: no such feature; expected one of: {', '.join(FEATURES)}"
        raise DriftError(msg)
