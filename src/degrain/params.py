"""params.yaml as frozen, typed objects; errors name the key.

There are no defaults here: params.yaml is the only place for values.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)

from degrain.check_params import Checks
from degrain.errors import DegrainError
from degrain.model_params import Model
from degrain.noise_model_params import NoiseModelSection
from degrain.noise_params import NoiseSection
from degrain.promote_params import Promote
from degrain.section import Section
from degrain.standard_sets import check_name, refusal, sets_without_pairs
from degrain.training_params import LABELLED, Pretrain, Train, Validation
from degrain.yaml_edit import overlaid

Kind = TypeVar("Kind", bound=BaseModel)

SMALLEST = {"unet": 4, "patchgan": 32, "dcgan": 8}
IMAGE_TERMS = ("ms_ssim", "focal_frequency", "perceptual")
TERM_SMALLEST = {"ms_ssim": 11, "perceptual": 17}

NO_PAIRS = (
    "no real noisy photographs (polyu, cc15 and folder:PATH with clean/ and noisy/ in it can have them)"
)


class ParamsError(DegrainError):
    """A value in params.yaml that cannot be used; the message names the key."""


class Compute(Section):
    """Where and how to compute."""

    device: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal["auto", "bfloat16", "float32"]
    threads: PositiveInt


def _one_or_more(names: object) -> object:
    """Let a single set be written without the brackets of a list."""
    return (names,) if isinstance(names, str) else names


Sets = Annotated[
    tuple[Annotated[str, AfterValidator(check_name)], ...],
    BeforeValidator(_one_or_more),
    Field(min_length=1),
]


class Data(Section):
    """Which images to use for what."""

    channels: Literal[1, 3]
    train: Sets
    val: Sets
    test: Sets
    min_side: PositiveInt
    register_pairs: bool
    checks: Checks
    mirror: Annotated[str, Field(min_length=1)] | None

    def sets(self) -> dict[str, tuple[str, ...]]:
        """The names of the sets of every split, in order."""
        return {"train": self.train, "val": self.val, "test": self.test}


class Patches(Section):
    """How training images are cut."""

    side_px: PositiveInt
    stride: PositiveInt
    scales: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _full_size_is_a_scale(self) -> Self:
        if 1 not in self.scales:
            msg = f"scales = {self.scales}; expected 1 among them, at which a patch fits into every image"
            raise ValueError(msg)
        return self


class Augment(Section):
    """How training images are varied."""

    colour_jitter: Annotated[float, Field(ge=0, le=1)]


class Evaluate(Section):
    """How results are shown."""

    zoom_px: Annotated[int, Field(ge=8)]


class Tracking(Section):
    """What MLflow is told."""

    experiment: Annotated[str, Field(min_length=1)]
    pictures: NonNegativeInt


class Params(Section):
    """All of params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    compute: Compute
    data: Data
    noise: NoiseSection
    noise_model: NoiseModelSection
    patches: Patches
    augment: Augment
    model: Model
    validation: Validation
    pretrain: Pretrain
    train: Train
    evaluate: Evaluate
    promote: Promote
    tracking: Tracking

    @model_validator(mode="after")
    def _sets_fit(self) -> Self:
        sets = self.data.sets()
        # Whether `model` is their network is not known here; where it is not, start: none changes nothing.
        problems = refusal(sets, self.data.channels, released=self.pretrain.start == "auto")
        if problems:
            raise ValueError(problems)
        if self.noise.tests_on_pairs:
            all_three = self.noise.kind == "pairs"
            setting = "noise.kind: pairs" if all_three else "noise.real_test: true"
            unfit = sets_without_pairs(sets, ["train", "val", "test"][not all_three :])
            if unfit:
                raise ValueError(
                    "\n".join(f"{one} has {NO_PAIRS}, which {setting} asks for" for one in unfit)
                )
        return self

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        for stage in ("pretrain", "train"):
            size = getattr(self, stage).patch_size
            if size % self.model.stride:
                msg = (
                    f"{stage}.patch_size = {size}; expected a multiple of {self.model.stride}, "
                    f"the stride of model.{self.model.generator}"
                )
                raise ValueError(msg)
            if size > self.patches.side_px:
                msg = (
                    f"{stage}.patch_size = {size}; expected at most patches.side_px = {self.patches.side_px}"
                )
                raise ValueError(msg)
        kind, size = self.train.discriminator.kind, self.train.patch_size
        if size % 4 or size < SMALLEST[kind]:
            msg = (
                f"train.patch_size = {size}; discriminators take multiples of 4, "
                f"patchgan from {SMALLEST['patchgan']} on, dcgan from {SMALLEST['dcgan']} on"
            )
            raise ValueError(msg)
        if self.validation.crop_px < self.model.stride:
            msg = (
                f"validation.crop_px = {self.validation.crop_px}; expected at least {self.model.stride}, "
                f"the stride of model.{self.model.generator}"
            )
            raise ValueError(msg)
        if self.patches.side_px > self.data.min_side:
            msg = (
                f"patches.side_px = {self.patches.side_px}; expected at most data.min_side = "
                f"{self.data.min_side}, so that a patch fits into every image"
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _terms_fit(self) -> Self:
        size = self.train.patch_size
        for term, smallest in TERM_SMALLEST.items():
            if getattr(self.train, term).weight and size < smallest:
                msg = f"train.patch_size = {size}; expected at least {smallest} with train.{term}"
                raise ValueError(msg)
        for term in IMAGE_TERMS:
            weight = getattr(self.train, term).weight
            if weight and self.model.stochastic:
                msg = (
                    f"train.{term}.weight = {weight:g}; expected 0 with model.stochastic (see train.sampling)"
                )
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _stabilisers_fit(self) -> Self:
        train = self.train
        if train.stabilisers.label_smoothing and train.adversarial.loss not in LABELLED:
            msg = (
                f"train.stabilisers.label_smoothing = {train.stabilisers.label_smoothing}; expected 0 with "
                f"train.adversarial.loss = {train.adversarial.loss}, which has no labels, or one of: "
                f"{', '.join(LABELLED)}"
            )
            raise ValueError(msg)
        if train.discriminator.minibatch_std and train.batch_size == 1:
            msg = "train.batch_size = 1; expected at least 2 with train.discriminator.minibatch_std"
            raise ValueError(msg)
        return self


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check params.yaml.

    A file with the key `base`, the path of another from where it is, holds what differs from that one.

    Raises
    ------
    ParamsError : naming the key, what was expected, what was found and, for a misspelt key,
        the nearest one; one line for each problem.
    """
    return parse_params(read_values(path), name=path.name)


def read_values(path: Path) -> Any:
    """The values of a file, laid over those of its base; not checked."""
    if not path.is_file():
        msg = f"{path}: not found; run this where params.yaml is, at the top of the project"
        raise ParamsError(msg)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f"{path}: not valid YAML: {error}"
        raise ParamsError(msg) from error
    if not (isinstance(values, dict) and "base" in values):
        return values
    base = values.pop("base")
    return overlaid(read_values(path.parent / str(base)), values)


def parse_params(values: object, *, name: str = "params.yaml") -> Params:
    """Check values read from `name` and freeze them; see `load_params`."""
    return parse_as(Params, values, name=name)


def parse_as(schema: type[Kind], values: object, *, name: str = "params.yaml") -> Kind:
    """Check values of other params, those of an experiment; see `load_params`."""
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise ParamsError("\n".join(f"{name}: {line}" for line in _explain(error, schema))) from None


def _explain(error: ValidationError, schema: type[BaseModel]) -> Iterator[str]:
    """One line for each problem, in the words of params.yaml."""
    for problem in error.errors():
        key = _dotted(problem["loc"])
        kind, context = problem["type"], problem.get("ctx", {})
        if kind == "extra_forbidden":
            yield f"{key} is not a setting{_suggest(key, list(setting_names(schema)))}"
        elif kind == "missing":
            yield f"{key} is missing"
        elif kind == "literal_error":
            choices = str(context["expected"]).replace("'", "").replace(" or ", ", ")
            yield f"{key} = {problem['input']!r}; expected one of: {choices}"
        elif kind == "value_error" and not key:
            yield from str(context["error"]).splitlines()
        else:
            found = context.get("error", problem["msg"][:1].lower() + problem["msg"][1:])
            yield f"{key or 'the file'} = {problem['input']!r}; {found}"


def _dotted(location: tuple[int | str, ...]) -> str:
    """('noise', 'poisson', 'test', 0) -> noise.poisson.test[0], less pydantic's names of types."""
    key = ""
    for part in location:
        if isinstance(part, int):
            key += f"[{part}]"
        elif not (part == "float" or part.startswith(("tuple[", "function-", "constrained-", "literal["))):
            key += f".{part}" if key else part
    return key


def _suggest(key: str, names: list[str]) -> str:
    near = difflib.get_close_matches(key.replace("-", "_"), names, n=1, cutoff=0.75)
    return f"; did you mean {near[0]}?" if near else ""


def setting_names(section: type[BaseModel] = Params, prefix: str = "") -> Iterator[str]:
    """The dotted name of every setting."""
    for name, field in section.model_fields.items():
        yield prefix + name
        kind: Any = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from setting_names(kind, f"{prefix}{name}.")
