"""The figures of a study, and its table in the page."""

from __future__ import annotations

from pathlib import Path

from degrain.compute import start_engine
from experiments.adversarial.arms import Plans, Row
from experiments.adversarial.figures import draw_trade
from experiments.adversarial.keys import training_key
from experiments.adversarial.results import Results
from experiments.adversarial.run import steps_of
from experiments.adversarial.strip import draw_strip
from experiments.adversarial.tables import TABLES, write_into
from experiments.adversarial.trainings import TRAINED


def report(plans: Plans, results: Results, page: Path | None) -> None:
    """Write and draw what the rows give; call it in the working folder."""
    study, folder = plans.study, results.path.parent
    rows = list(results.rows.values())
    table = TABLES[study.table](rows, study)
    print(table)
    if page:
        write_into(page, study.table, table)
    if study.table == "results":
        draw_trade(rows, study, folder / "perception-distortion.png")
    if study.strip:
        _draw_strip(plans, results, folder / "strip.png")


def _draw_strip(plans: Plans, results: Results, path: Path) -> None:
    """The picture of the first seed, where its weights are still at hand."""
    arms = [(row.arm.title, _weights(plans, results, row)) for row in _shown(plans)]
    missing = [title for title, weights in arms if weights is None]
    if missing:
        print(f"{path.name} stays as it is: no weights of {', '.join(missing)}")
        return
    params = plans.params(plans.rows()[0])
    found = [(title, weights) for title, weights in arms if weights]
    draw_strip(found, params.data.channels, start_engine(params.compute), path)


def _shown(plans: Plans) -> list[Row]:
    return [row for row in plans.rows(plans.study.strip) if row.seed == 0]


def _weights(plans: Plans, results: Results, row: Row) -> Path | None:
    if row.arm.trains == "nothing":
        return plans.start
    steps = steps_of(plans, results, row)
    weights = TRAINED / f"{training_key(plans, row, steps or 0)}.safetensors"
    return weights if weights.is_file() else None
