"""The params of experiments/generation: images from noise alone, and what they are good for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic import model_validator as checked

from degrain.params import Compute, parse_as, read_values
from degrain.section import Section
from degrain.stabiliser_params import Stabilisers
from degrain.training_params import LABELLED, AdversarialLoss

SETS = ("fashion-mnist", "mnist")
FOLDER = "folder:"


def _check_set(name: str) -> str:
    if name in SETS or (name.startswith(FOLDER) and name != FOLDER):
        return name
    msg = f"expected {', '.join(SETS)}, or folder:PATH with four files named and made as theirs"
    raise ValueError(msg)


class GenerationData(Section):
    """The labelled images."""

    set: Annotated[str, AfterValidator(_check_set)]
    mirror: Annotated[str, Field(min_length=1)] | None


class Learning(Section):
    """What every training sets."""

    steps: PositiveInt
    batch_size: Annotated[int, Field(ge=2)]
    lr: PositiveFloat
    warmup_steps: NonNegativeInt
    ema_half_life_images: PositiveFloat
    look_every: PositiveInt


class ClassifierSection(Learning):
    """The classifier whose features the Frechet distance is taken in."""

    width: PositiveInt
    features: PositiveInt
    held_out: PositiveInt


class Adversarial(Section):
    """What both players minimise."""

    loss: AdversarialLoss


class DcganSection(Learning):
    """Generator against critic."""

    z_length: PositiveInt
    width: PositiveInt
    critic_width: PositiveInt
    critic_lr: PositiveFloat
    shown: PositiveInt
    adversarial: Adversarial
    stabilisers: Stabilisers

    @checked(mode="after")
    def _labels_fit(self) -> Self:
        smoothing, loss = self.stabilisers.label_smoothing, self.adversarial.loss
        if smoothing and loss not in LABELLED:
            msg = (
                f"stabilisers.label_smoothing = {smoothing}; expected 0 with adversarial.loss = {loss}, "
                f"which has no labels, or one of: {', '.join(LABELLED)}"
            )
            raise ValueError(msg)
        return self


class EvaluateSection(Section):
    """What generated images are compared with."""

    images: Annotated[int, Field(ge=2)]
    blur_px: tuple[PositiveFloat, ...]
    noise_255: tuple[PositiveFloat, ...]


class SemiSupervisedSection(Learning):
    """A classifier from a few labels, alone or as the discriminator of images without labels."""

    draws: PositiveInt
    labels_per_class: PositiveInt
    width: PositiveInt
    features: PositiveInt
    noise_255: NonNegativeFloat
    unlabelled_weight: PositiveFloat
    z_length: PositiveInt
    generator_width: PositiveInt
    generator_lr: PositiveFloat


class GenerationTracking(Section):
    """What MLflow is told."""

    experiment: Annotated[str, Field(min_length=1)]


class GenerationParams(Section):
    """All of experiments/generation/params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    compute: Compute
    data: GenerationData
    classifier: ClassifierSection
    dcgan: DcganSection
    evaluate: EvaluateSection
    semi_supervised: SemiSupervisedSection
    tracking: GenerationTracking


def load_generation_params(path: Path = Path("params.yaml")) -> GenerationParams:
    """Read and check the params of the experiment; see `degrain.params.load_params`."""
    return parse_as(GenerationParams, read_values(path), name=path.name)
