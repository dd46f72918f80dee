"""Tables of what differs: params and metrics."""

from __future__ import annotations

import json
from collections.abc import Sequence

from degrain.evaluation.tables import LEARNED, TITLES
from degrain.report.markdown import table
from degrain.report.revisions import Change


def params_table(changes: Sequence[Change]) -> str:
    """One row a setting."""
    rows = [[f"`{change.key}`", _value(change.before), _value(change.now)] for change in changes]
    return table(["setting", "before", "now"], rows) if rows else "None.\n"


def metrics_table(changes: Sequence[Change]) -> str:
    """One row for each method of ours, level and measure; of the others only how many changed.

    Theirs change with the test set or with the filters, and then ours cannot be compared.
    """
    if not changes:
        return "None.\n"
    if all(change.before is None for change in changes):
        return "There were none before.\n"
    ours = [change for change in changes if _parts(change)[0] in LEARNED]
    columns = ["method", "level", "measure", "before", "now", "change"]
    text = table(columns, map(_metrics_row, ours), right=(3, 4, 5))
    others = len(changes) - len(ours)
    if others:
        text += (
            f"\nFigures of other methods changed too ({others}): the test set or the filters are others.\n"
        )
    return text


def _metrics_row(change: Change) -> list[str]:
    method, level, measure = _parts(change)
    title = TITLES[method].replace("*", "")
    values = [_figure(change.before), _figure(change.now), _difference(change)]
    return [title, level.replace("_", " "), measure, *values]


def _parts(change: Change) -> list[str]:
    """methods.adversarial.sigma_25.psnr, or gain_0.01 for the level -> method, level, measure."""
    method, _, rest = change.key.removeprefix("methods.").partition(".")
    level, _, measure = rest.rpartition(".")
    return [method, level, measure]


def _value(value: object) -> str:
    return "" if value is None else f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _figure(value: object) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, int | float) else ""


def _difference(change: Change) -> str:
    before, now = change.before, change.now
    numbers = isinstance(before, int | float) and isinstance(now, int | float)
    return f"{now - before:+.4f}" if numbers else ""  # type: ignore[operator]
