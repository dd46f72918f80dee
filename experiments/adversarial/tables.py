"""The rows of a study as Markdown: means and deviations over the seeds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from degrain.errors import DegrainError
from degrain.files import write_text
from experiments.adversarial.arms import Study

Rows = Sequence[Mapping[str, str]]
NONE_YET = "No rows yet; the command above makes them.\n"
PICTURES = """\
![PSNR against Frechet distance](../reports/adversarial/perception-distortion.png)

![noisy, some arms, clean](../reports/adversarial/strip.png)

"""
FAILED = ("collapse", "diverged")


class Spread(NamedTuple):
    """Mean and deviation of a figure over seeds; the deviation of a single one is not known."""

    mean: float
    deviation: float | None

    def text(self, digits: int) -> str:
        """Like 29.07 ± 0.02."""
        if self.deviation is None:
            return f"{self.mean:.{digits}f}"
        return f"{self.mean:.{digits}f} ± {self.deviation:.{digits}f}"


def spread(rows: Rows, column: str) -> Spread | None:
    """Of a column, over the rows that have it."""
    values = [float(row[column]) for row in rows if row[column]]
    if not values:
        return None
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)


def failures(rows: Rows) -> int:
    """Trainings that ended without a generator, after all rescues."""
    return sum(_is_failed(row) for row in rows)


def results_table(rows: Rows, study: Study) -> str:
    """The figures, and a table for each group of arms: arms down, figures across."""
    if not rows:
        return NONE_YET
    parts = []
    for group in dict.fromkeys(arm.group for arm in study.arms.values()):
        lines = [
            [arm.title, *_cells(own)]
            for name, arm in study.arms.items()
            if arm.group == group and (own := [row for row in rows if row["arm"] == name])
        ]
        if lines:
            heads = [group, "steps", "seconds", *(title for title, *_ in FIGURES), "failures", "at the end"]
            parts.append(_table(heads, lines))
    return PICTURES + "\n".join(parts)


# Title, column, digits after the point.
FIGURES = (
    ("PSNR, dB", "psnr", 3),
    ("SSIM", "ssim", 4),
    ("feature distance", "feature_distance", 4),
    ("Frechet distance", "frechet_distance", 1),
    ("two-sample accuracy", "two_sample_accuracy", 3),
)


def _cells(rows: Rows) -> list[str]:
    trained = [row for row in rows if not row["state"].startswith("skipped")]
    means = [_text(trained, column, 0) for column in ("steps", "seconds")]
    figures = [_text(trained, column, digits) for _, column, digits in FIGURES]
    failed = f"{failures(trained)} of {len(trained)}" if trained else ""
    return [*(text.partition(" ±")[0] for text in means), *figures, failed, _states(rows)]


def unattended_table(rows: Rows, study: Study) -> str:
    """Losses down: how many runs passed, and what was gained and lost."""
    if not rows:
        return NONE_YET
    heads = ["loss", "runs", "passed", "failures", "rescues", "steps", "seconds", "PSNR, dB", "change, dB"]
    heads += ["worst change, dB", "Frechet distance", "of the start"]
    lines = [
        [arm.title, *_unattended(own)]
        for name, arm in study.arms.items()
        if (own := [row for row in rows if row["loss"] == name])
    ]
    return _table(heads, lines)


def _unattended(rows: Rows) -> list[str]:
    changes = [{"change": str(float(row["psnr"]) - float(row["start_psnr"]))} for row in rows if row["psnr"]]
    change, worst = spread(changes, "change"), min((float(row["change"]) for row in changes), default=None)
    counts = [len(rows), sum(row["passed"] == "true" for row in rows), failures(rows)]
    return [
        *map(str, [*counts, sum(int(row["rescues"]) for row in rows)]),
        *(_text(rows, column, 0).partition(" ±")[0] for column in ("steps", "seconds")),
        _text(rows, "psnr", 3),
        change.text(3) if change else "",
        "" if worst is None else f"{worst:.3f}",
        _text(rows, "frechet_distance", 1),
        _text(rows, "start_frechet_distance", 1).partition(" ±")[0],
    ]


TABLES: Mapping[str, Callable[[Rows, Study], str]] = {
    "results": results_table,
    "unattended": unattended_table,
}


def write_into(page: Path, name: str, table: str) -> None:
    """Put a table between `<!-- NAME: ... -->` and `<!-- /NAME -->` of a page.

    Raises
    ------
    DegrainError : the page has no such place.
    """
    text = page.read_text(encoding="utf-8")
    place = block(name)
    if not place.search(text):
        msg = f"{page}: expected <!-- {name}: ... --> and <!-- /{name} --> around the table; add them"
        raise DegrainError(msg)
    write_text(page, place.sub(lambda found: f"{found[1]}{table}{found[3]}", text))


def block(name: str) -> re.Pattern[str]:
    """The place of a table in a page; the second group is the table."""
    return re.compile(rf"(<!-- {name}:.*?-->\n)(.*?)(<!-- /{name} -->)", re.DOTALL)


def _is_failed(row: Mapping[str, str]) -> bool:
    return row["state"].startswith(FAILED)


def _states(rows: Rows) -> str:
    """Every state, and how many runs ended in it where they differ."""
    counts = Counter(row["state"] for row in rows)
    if len(counts) == 1:
        return next(iter(counts))
    return "; ".join(f"{count} {state}" for state, count in counts.items())


def _text(rows: Rows, column: str, digits: int) -> str:
    found = spread(rows, column)
    return found.text(digits) if found else ""


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(heads) - 2), "---" if heads[-1] == "at the end" else "---:"]
    return "".join(f"| {' | '.join(line)} |\n" for line in (heads, rule, *lines))
