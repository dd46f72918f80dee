"""What the stages that train or measure share: their checkpoints, and what MLflow is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from degrain.generation.paths import DATA
from degrain.generation_params import GenerationParams
from degrain.params import Params
from degrain.tracking import Told
from degrain.training.checkpoint import Checkpoint, stage_key

if TYPE_CHECKING:
    from degrain.training.loop import Log

ABOUT = """**`dvc repro experiments/generation/dvc.yaml`: images from noise, classifiers with few labels.**

- classifier: learns the whole set; in its features generated images are compared with real ones.
- dcgan: generator against critic; pictures of the same noise vectors over the steps.
- evaluate, below dcgan: the Frechet distance of what it generates, beside that of images known to be worse.
- semi_supervised: a classifier with a few labels, alone and as the discriminator of images without labels.
"""


def checkpoint_of(stage: str, params: GenerationParams) -> Checkpoint:
    """The checkpoint of a stage, named after all that dvc.yaml says it depends on."""
    return Checkpoint(stage, stage_key(stage, cast("Params", params)))  # which only dumps them


def told(stage: str, params: GenerationParams, note: str) -> Told:
    """What MLflow is told when the stage begins."""
    sections = {"seed", "compute", "data", stage}
    return Told(
        experiment=params.tracking.experiment,
        about=ABOUT,
        stage=stage,
        note=f"{note}; {params.data.set}",
        params=params.model_dump(mode="json", include=sections),
        data=sorted(DATA.glob("*.gz")),
    )


class Suffixed:
    """A log for one of several trainings of a stage: its curves have names of their own."""

    def __init__(self, log: Log, suffix: str) -> None:
        self._log, self._suffix = log, suffix

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take the figures of one step."""
        self._log.log_metrics(step, {f"{name}/{self._suffix}": value for name, value in metrics.items()})

    def flush(self) -> None:
        """Send what was taken."""
        self._log.flush()
