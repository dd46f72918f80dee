"""The arms of a study as typed objects, and the params of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError, model_validator

from degrain.build.released import released_path
from degrain.errors import DegrainError
from degrain.params import Params, parse_params
from degrain.section import Section
from degrain.training_params import Optimisation
from degrain.yaml_edit import overlaid

HERE = Path(__file__).parent
Values = dict[str, Any]


class Arm(Section):
    """One way to train.

    trains : nothing (the start is measured), pixel, variational or adversarial.
    set : what differs from the study's params.
    divergence_weight : of `variational`; see `VariationalStep`.
    """

    title: Annotated[str, Field(min_length=1)]
    group: Literal["references", "losses", "stabilisers", "discriminators", "combinations"]
    trains: Literal["nothing", "pixel", "variational", "adversarial"] = "adversarial"
    set: Values = Field(default_factory=dict)
    divergence_weight: NonNegativeFloat = 0.0

    @property
    def section(self) -> str:
        """Of the params, that the training takes its settings from."""
        return "train" if self.trains == "adversarial" else "pretrain"


class Passes(Section):
    """What an unattended run must reach; loss_db : of PSNR, at most."""

    loss_db: NonNegativeFloat


class Study(Section):
    """A file of arms: how long, how often, on what.

    minutes, steps : of training, a row; one of them.
    """

    table: Literal["results", "unattended"]
    preset: str
    start: str
    seeds: PositiveInt
    minutes: PositiveFloat | None = None
    steps: PositiveInt | None = None
    images: Annotated[int, Field(ge=2)]
    passes: Passes | None = None
    base: Values
    arms: Annotated[dict[str, Arm], Field(min_length=1)]
    strip: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.minutes is None) == (self.steps is None):
            msg = "expected one of minutes and steps"
            raise ValueError(msg)
        if (self.passes is None) != (self.table == "results"):
            msg = "expected passes with table: unattended, and not without"
            raise ValueError(msg)
        self.check_names(self.strip)
        return self

    def check_names(self, names: tuple[str, ...]) -> None:
        """Raise ValueError for the first name that no arm has."""
        for name in names:
            if name not in self.arms:
                msg = f"{name}: no such arm; expected one of: {', '.join(self.arms)}"
                raise ValueError(msg)


@dataclass(frozen=True)
class Row:
    """One training: an arm and a seed."""

    name: str
    arm: Arm
    seed: int

    def __str__(self) -> str:
        return f"{self.name} {self.seed}"


@dataclass(frozen=True)
class Plans:
    """A study, and the params that its arms are laid over.

    present : params.yaml with the preset. name : of the study's file, for errors.
    """

    study: Study
    present: Values
    name: str
    folder: Path = field(default=HERE)

    def params(self, row: Row, *, steps: int | None = None) -> Params:
        """The params of a training.

        Raises
        ------
        ParamsError : naming the arm and the key that is no setting or has no such value.
        """
        values = overlaid(overlaid(self.present, self.study.base), row.arm.set)
        values = overlaid(values, {"seed": row.seed})
        if steps is not None:
            values = overlaid(values, {row.arm.section: {"steps": steps}})
        return parse_params(values, name=f"{self.name}: {row.name}")

    def rows(self, names: tuple[str, ...] = ()) -> list[Row]:
        """The trainings, seed by seed, of all arms or of some; what trains nothing has one seed."""
        wanted = names or tuple(self.study.arms)
        return [
            Row(name, arm, seed)
            for seed in range(self.study.seeds)
            for name, arm in self.study.arms.items()
            if name in wanted and (seed == 0 or arm.trains != "nothing")
        ]

    @property
    def start(self) -> Path:
        """The generator that all arms go on from."""
        if self.study.start == "faithful":
            return released_path("faithful", self.params(self.rows()[0]).data.channels)
        return (self.folder / self.study.start).absolute()


def settings_of(params: Params, arm: Arm) -> Optimisation:
    """How the arm is optimised."""
    return params.train if arm.section == "train" else params.pretrain


def load_plans(path: Path, changes: Values, *, top: Path = Path()) -> Plans:
    """Read a study; the params are those of `top`, with `changes` to the study itself.

    Raises
    ------
    DegrainError : naming the file and the key.
    """
    study = _study(path, changes)
    names = [top / "params.yaml", *(top / f"presets/{one}.yaml" for one in ("default", study.preset))]
    present: Values = {}
    for one in names:
        present = overlaid(present, _read(one))
    plans = Plans(study, present, path.name, path.parent)
    for row in plans.rows():
        plans.params(row)  # before anything is trained
    return plans


def _study(path: Path, changes: Values) -> Study:
    try:
        return Study.model_validate(overlaid(_read(path), changes))
    except ValidationError as error:
        lines = (f"{path.name}: {line}" for line in _explain(error))
        raise DegrainError("\n".join(lines)) from None


def _explain(error: ValidationError) -> Iterator[str]:
    for problem in error.errors():
        key = ".".join(map(str, problem["loc"]))
        said = str(problem.get("ctx", {}).get("error", problem["msg"]))
        yield (
            f"{key} is not a setting"
            if problem["type"] == "extra_forbidden"
            else ": ".join(filter(None, (key, said)))
        )


def _read(path: Path) -> Values:
    if not path.is_file():
        msg = f"{path}: not found; run this at the top of the project"
        raise DegrainError(msg)
    values: Values = yaml.safe_load(path.read_text(encoding="utf-8"))
    return values
