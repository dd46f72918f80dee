"""The table of a study on disk: a row is kept as soon as it is there, and known again by its settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from degrain.files import read_rows, write_json, write_rows
from experiments.adversarial.arms import Row, Study

COLUMNS = {
    "results": (
        *("arm", "loss", "stabilisers", "seed", "steps", "seconds"),
        *("psnr", "ssim", "feature_distance", "frechet_distance", "two_sample_accuracy", "state"),
    ),
    "unattended": (
        *("loss", "seed", "steps", "seconds", "rescues", "state", "psnr", "start_psnr"),
        *("frechet_distance", "start_frechet_distance", "passed"),
    ),
}
NAMED_BY = {"results": "arm", "unattended": "loss"}


class Results:
    """`<table>.csv`, and beside it `<table>.json`: the steps of each arm, and the settings of each row.

    Parameters
    ----------
    study : whose arms and seeds are rows; rows of other arms go when the next one is written.
    """

    def __init__(self, study: Study, folder: Path) -> None:
        self.study = study
        self.columns, self.named_by = COLUMNS[study.table], NAMED_BY[study.table]
        self.path, self.record_path = (folder / f"{study.table}{end}" for end in (".csv", ".json"))
        rows = read_rows(self.path) if self.path.exists() else []
        self.rows = {f"{row[self.named_by]} {row['seed']}": row for row in rows}
        self.record: dict[str, dict[str, Any]] = {"engine": {}, "steps": {}, "rows": {}}
        if self.record_path.exists():
            self.record |= json.loads(self.record_path.read_text(encoding="utf-8"))

    def has(self, row: Row, key: str) -> bool:
        """Whether the row is there with these settings."""
        return str(row) in self.rows and self.record["rows"].get(str(row)) == key

    def is_unjudged(self, row: Row) -> bool:
        """Whether the row was measured where there was no judge."""
        cells = self.rows.get(str(row), {})
        return bool(cells.get("psnr")) and not cells.get("frechet_distance")

    def put(self, row: Row, key: str | None, values: Mapping[str, object]) -> None:
        """Write a row; without a key it will be done again."""
        if self.record["rows"].pop(str(row), None):
            self._write_record()  # before the table: a row that is cut short here is done again
        cells = {column: values.get(column, "") for column in self.columns}
        self.rows[str(row)] = {column: str(cell) for column, cell in cells.items()}
        write_rows(self.path, self.columns, self._in_order())
        if key:
            self.record["rows"][str(row)] = key
        self._write_record()

    def steps(self, name: str, settings: str, minutes: float) -> int | None:
        """How many steps the arm was found to do in these minutes, if it was timed with these settings."""
        known = self.record["steps"].get(name, {})
        same = (known.get("settings"), known.get("minutes")) == (settings, minutes)
        return int(known["steps"]) if same else None

    def put_steps(self, timed: Mapping[str, Mapping[str, object]]) -> None:
        """Keep how many steps arms do, so that the study can be done again to the same bits."""
        self.record["steps"] |= timed
        self._write_record()

    def put_engine(self, name: str, threads: int) -> None:
        """Keep where the last rows were computed."""
        self.record["engine"] = {"name": name, "threads": threads}
        self._write_record()

    def _in_order(self) -> list[dict[str, str]]:
        """By arm as in the study, then by seed."""
        arms = list(self.study.arms)
        known = [row for row in self.rows.values() if row[self.named_by] in arms]
        return sorted(known, key=lambda row: (arms.index(row[self.named_by]), int(row["seed"])))

    def _write_record(self) -> None:
        self.record["rows"] = dict(sorted(self.record["rows"].items()))
        write_json(self.record_path, self.record)
