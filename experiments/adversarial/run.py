"""Every row of a study that is missing or has changed: trained, measured, kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from degrain.compute import Engine, start_engine
from degrain.errors import DegrainError
from degrain.features import Backbone, load_backbone
from degrain.params import Params
from experiments.adversarial.arms import Plans, Row
from experiments.adversarial.data import prepare
from experiments.adversarial.describe import loss_of, stabilisers_of
from experiments.adversarial.keys import row_key, settings_key
from experiments.adversarial.measuring import Figures, chosen_pairs, measure, measure_quickly, restored_by
from experiments.adversarial.results import Results
from experiments.adversarial.timing import seconds_a_step
from experiments.adversarial.trainings import Outcome, train

SKIPPED = "skipped: needs the extra perceptual"


def run(plans: Plans, results: Results, names: tuple[str, ...] = ()) -> None:
    """Do what is to be done of some arms, or of all; call it in the working folder."""
    rows = plans.rows(names)
    missing = [row for row in rows if not _is_known(plans, results, row)]
    unjudged = [row for row in rows if results.is_unjudged(row)]
    if not missing + unjudged:
        return
    judge = _judge(plans)
    if judge:
        missing = [row for row in rows if row in missing or row in unjudged]
    if not missing:
        return
    params = plans.params(rows[0])
    prepare(plans)
    engine = start_engine(params.compute)
    results.put_engine(str(engine), params.compute.threads)
    _find_steps(plans, results, missing, engine)
    work = Work(plans, results, engine, judge)
    # A row takes about as long as any other, so the bar's estimate is of use.
    with tqdm(total=len(rows), initial=len(rows) - len(missing), desc=plans.study.table, unit="row") as bar:
        for row in missing:
            bar.set_postfix_str(str(row))
            tqdm.write(f"{row}: {work.do(row)}")
            bar.update()


class Work:
    """What all rows share: the engine, the judge, the test images, the figures of the start."""

    def __init__(self, plans: Plans, results: Results, engine: Engine, judge: Backbone | None) -> None:
        self.plans, self.results, self.engine, self.judge = plans, results, engine, judge
        self.pairs = chosen_pairs(plans.study.images)
        self.started = self._measured(plans.start) if plans.study.passes else {}

    def do(self, row: Row) -> str:
        """Train, measure and keep a row; returns a line to show."""
        plans, params = self.plans, self.plans.params(row)
        described = {
            "arm": row.name,
            "loss": loss_of(params, row.arm),
            "stabilisers": stabilisers_of(params, row.arm),
            "seed": row.seed,
        }
        if plans.study.passes:
            described["loss"] = row.name
        if _lacks_extra(params, row):
            self.results.put(row, None, described | {"steps": 0, "seconds": 0.0, "state": SKIPPED})
            return SKIPPED
        steps = steps_of(plans, self.results, row) or 0
        outcome, weights = self._trained(row, steps)
        figures = {} if outcome.failed else self._measured(weights)
        values = described | figures | _ended(outcome)
        if plans.study.passes:
            values |= self._judged(figures)
        self.results.put(row, row_key(plans, row, steps), values)
        return f"{outcome.state}, {outcome.steps} steps in {outcome.seconds:.0f} s, {_shown(figures)}"

    def _trained(self, row: Row, steps: int) -> tuple[Outcome, Path]:
        if row.arm.trains == "nothing":
            return Outcome(0, 0.0, "healthy", 0, failed=False), self.plans.start
        return train(self.plans, row, steps, self.engine)

    def _measured(self, weights: Path) -> Figures:
        restored = restored_by(weights, self.pairs, self.engine)
        if self.plans.study.passes and self.judge:
            return measure_quickly(restored, self.pairs, self.judge)
        return measure(restored, self.pairs, self.judge)

    def _judged(self, figures: Figures) -> dict[str, object]:
        """The figures of the start, and whether the run came up to what is asked of it."""
        passes, before = self.plans.study.passes, self.started
        passed = bool(
            passes
            and figures
            and figures["psnr"] >= before["psnr"] - passes.loss_db
            and figures["frechet_distance"] < before["frechet_distance"]
        )
        return {
            "start_psnr": before["psnr"],
            "start_frechet_distance": before["frechet_distance"],
            "passed": str(passed).lower(),
        }


def _ended(outcome: Outcome) -> dict[str, object]:
    return {name: getattr(outcome, name) for name in ("steps", "seconds", "state", "rescues")}


def _shown(figures: Figures) -> str:
    names = {"psnr": "PSNR", "frechet_distance": "Frechet distance"}
    return ", ".join(f"{title} {figures[name]:.4g}" for name, title in names.items() if name in figures)


def steps_of(plans: Plans, results: Results, row: Row) -> int | None:
    """Of a row; None where the arm has yet to be timed."""
    if row.arm.trains == "nothing":
        return 0
    if plans.study.minutes is None:
        return plans.study.steps
    return results.steps(row.name, settings_key(plans, row), plans.study.minutes)


def _is_known(plans: Plans, results: Results, row: Row) -> bool:
    steps = steps_of(plans, results, row)
    return steps is not None and results.has(row, row_key(plans, row, steps))


def _find_steps(plans: Plans, results: Results, missing: Sequence[Row], engine: Engine) -> None:
    """Time the arms that have not been timed, and keep how many steps they can do."""
    minutes = plans.study.minutes
    untimed = {
        row.name: row
        for row in missing
        if steps_of(plans, results, row) is None and not _lacks_extra(plans.params(row), row)
    }
    if minutes is None or not untimed:
        return
    found = seconds_a_step(plans, list(untimed.values()), engine)
    results.put_steps(
        {
            name: {
                "settings": settings_key(plans, untimed[name]),
                "minutes": minutes,
                "steps": max(1, round(60 * minutes / seconds)),
                "milliseconds_a_step": round(1000 * seconds, 1),
            }
            for name, seconds in found.items()
        }
    )


def _lacks_extra(params: Params, row: Row) -> bool:
    """Whether the row needs packages that are not installed."""
    if row.arm.trains != "adversarial" or not params.train.perceptual.weight:
        return False
    try:
        load_backbone("loss")
    except DegrainError:
        return True
    return False


def _judge(plans: Plans) -> Backbone | None:
    """The judge; without it a word about what is left out, or an error where nothing can be said."""
    try:
        return load_backbone("judge")
    except DegrainError as error:
        if plans.study.passes:
            raise
        tqdm.write(f"without feature and Frechet distance, as {error}")
        return None
