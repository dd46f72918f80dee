"""The classifier of the whole set, in whose features generated images are compared with real ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from degrain.compute import Engine
from degrain.generation.labelled import Labelled
from degrain.generation.loop import Batches, Course, average_of, new_player, send_images
from degrain.generation_params import ClassifierSection
from degrain.losses.semi_supervised import labelled_loss
from degrain.models.image_classifier import ImageClassifier
from degrain.training.descend import Stats, descend
from degrain.training.state import TrainState

AT_ONCE = 500


@dataclass(frozen=True)
class ClassifierStep:
    """A step on labelled images; the classifier is the player called generator."""

    batches: Batches

    def __call__(self, state: TrainState) -> Stats:
        """Update it; see `descend` for what it returns and raises."""
        images, labels = self.batches(state.step)
        with state.engine.autocast():
            logits = state.generator.network(images).logits.float()
        terms = {"labelled": labelled_loss(logits, labels).mean()}
        return descend(state.generator, "classifier", terms, step=state.step)


def start_classifier(
    learned: Labelled, held_out: Labelled, settings: ClassifierSection, engine: Engine, *, seed: int
) -> tuple[TrainState, Course]:
    """The training of a classifier at step 0, which is looked at on the images held out."""
    torch.manual_seed(seed)
    sizes = {"side_px": learned.images.shape[-1], "width": settings.width, "features": settings.features}
    network = ImageClassifier(learned.images.shape[1], learned.classes, **sizes)
    player = new_player(network, settings.lr, engine)
    state = TrainState(engine, player, average_of(player, settings))
    step = ClassifierStep(Batches(learned, settings.batch_size, engine, (seed, "classifier")))

    def look(state: TrainState) -> Stats:
        return {"accuracy": accuracy(state.ema.network, held_out, engine)}

    return state, Course("classifier", settings, step, look, player)


@torch.inference_mode()
def accuracy(network: torch.nn.Module, on: Labelled, engine: Engine) -> float:
    """Share of the images that a classifier knows."""
    right = 0
    for pixels, labels in zip(*(torch.split(one, AT_ONCE) for one in (on.images, on.labels)), strict=True):
        with engine.autocast():
            logits = network(send_images(engine, pixels)).logits
        right += int((logits.argmax(1).cpu() == labels).sum())
    return right / len(on)


@torch.inference_mode()
def recognise(network: torch.nn.Module, pixels: Tensor, engine: Engine) -> tuple[Tensor, Tensor]:
    """Features (N, F) and classes (N,) of bytes (N, C, S, S); in float32 whatever the engine's precision."""
    seen = [network(send_images(engine, part)) for part in torch.split(pixels, AT_ONCE)]
    features, logits = (torch.cat([one[place].cpu() for one in seen]) for place in (1, 0))
    return features, logits.argmax(1)
