"""Classifying with a few labels: a classifier alone, or as the discriminator of many images without labels.

Source: Salimans et al., "Improved Techniques for Training GANs", 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from degrain.compute import Engine
from degrain.generation.labelled import Labelled
from degrain.generation.loop import Batches, Course, average_of, new_player
from degrain.generation.making import noise_vectors
from degrain.generation_params import SemiSupervisedSection
from degrain.losses.semi_supervised import labelled_loss, mean_feature_matching, unlabelled_loss
from degrain.models.image_classifier import ImageClassifier, Recognition
from degrain.models.image_generator import ImageGenerator
from degrain.seeding import seeded_generator
from degrain.training.descend import Stats, descend
from degrain.training.state import Player, TrainState, frozen

ALONE, WITH = "labels alone", "with unlabelled images"
METHODS = (ALONE, WITH)


@dataclass(frozen=True)
class Few:
    """What one draw of labels gives: the labelled images, and all training images, whose labels nobody sees.

    Attributes
    ----------
    draw : its number.
    """

    draw: int
    labelled: Labelled
    unlabelled: Labelled


def draw_few(images: Labelled, settings: SemiSupervisedSection, *, draw: int, seed: int) -> Few:
    """A draw of the labels; see `Labelled.few` for what it raises."""
    return Few(draw, images.few(settings.labels_per_class, seed, "labels", draw), images)


@dataclass(frozen=True)
class Seeing:
    """A classifier that sees images under noise, which keeps it from learning a few by heart.

    Attributes
    ----------
    sigma : of the noise, on the images' scale. parts : the seed.
    """

    player: Player
    sigma: float
    parts: tuple[str | int, ...]

    def __call__(self, state: TrainState, **images: Tensor) -> Recognition:
        """Logits and features, in float32, of all batches; noise depends on a batch's name and the step."""
        shown = torch.cat([self.noisy(state, name, batch) for name, batch in images.items()])
        with state.engine.autocast():
            seen = self.player.network(shown)
        return Recognition(*(value.float() for value in seen))

    def noisy(self, state: TrainState, name: str, images: Tensor) -> Tensor:
        """Images (B, C, S, S) under noise."""
        generator = seeded_generator(*self.parts, "noise", name, state.step)
        noise = torch.randn(images.shape, generator=generator) * self.sigma
        return images + state.engine.send(noise)


@dataclass(frozen=True)
class AloneStep:
    """The classifier on its few labels."""

    see: Seeing
    labelled: Batches

    def __call__(self, state: TrainState) -> Stats:
        """Update it; see `descend` for what it returns and raises."""
        images, labels = self.labelled(state.step)
        terms = {"labelled": labelled_loss(self.see(state, labelled=images).logits, labels).mean()}
        return descend(self.see.player, "classifier", terms, step=state.step)


@dataclass(frozen=True)
class SemiSupervisedStep:
    """The classifier on its few labels and as a discriminator; the generator by feature matching.

    Attributes
    ----------
    unlabelled_weight : of the discriminator's loss, that of the labels being 1.
    seed : of z, together with the step.
    """

    see: Seeing
    labelled: Batches
    unlabelled: Batches
    unlabelled_weight: float
    seed: tuple[str | int, ...]

    def __call__(self, state: TrainState) -> Stats:
        """Update both players; see `descend` for what it returns and raises."""
        real, _ = self.unlabelled(state.step)
        z = noise_vectors(len(real), state.generator.network, *self.seed, "z", state.step)
        with state.engine.autocast():
            fake = state.generator.network(state.engine.send(z))
        return {
            **self.classifier_step(state, real, fake.detach()),
            **self.generator_step(state, real, fake),
        }

    def classifier_step(self, state: TrainState, real: Tensor, fake: Tensor) -> Stats:
        """Teach it the labels, and to tell generated images (B, C, S, S) from real ones."""
        images, labels = self.labelled(state.step)
        logits = self.see(state, labelled=images, real=real, fake=fake).logits
        of_labelled, of_real, of_fake = torch.split(logits, [len(images), len(real), len(fake)])
        terms = {
            "labelled": labelled_loss(of_labelled, labels).mean(),
            "unlabelled": unlabelled_loss(of_real, of_fake).mean() * self.unlabelled_weight,
        }
        return descend(self.see.player, "classifier", terms, step=state.step)

    def generator_step(self, state: TrainState, real: Tensor, fake: Tensor) -> Stats:
        """Teach the generator to make images whose features are on average those of real ones."""
        with frozen(self.see.player.network):
            with torch.no_grad():
                wanted = self.see(state, real_again=real).features
            made = self.see(state, fake_again=fake).features
            terms = {"feature_matching": mean_feature_matching(made, wanted)}
            return descend(state.generator, "generator", terms, step=state.step)


def start_semi_supervised(
    method: str,
    few: Few,
    settings: SemiSupervisedSection,
    engine: Engine,
    *,
    seed: int,
    look: Callable[[TrainState], Stats],
) -> tuple[TrainState, Course]:
    """The training of a method on a draw, at step 0.

    Both methods start from the same classifier, and see the same labelled images at the same steps, each
    under the same noise.
    """
    torch.manual_seed(seed + few.draw)
    channels, side = few.unlabelled.images.shape[1], few.unlabelled.images.shape[-1]
    sizes = {"side_px": side, "width": settings.width, "features": settings.features}
    classifier = new_player(ImageClassifier(channels, few.unlabelled.classes, **sizes), settings.lr, engine)
    average, parts = average_of(classifier, settings), (seed, "semi-supervised", few.draw)
    see = Seeing(classifier, settings.noise_255 / 255, parts)
    labelled = Batches(few.labelled, settings.batch_size, engine, (*parts, "labelled"))
    name = f"draw {few.draw}, {method}"
    if method == ALONE:
        state = TrainState(engine, classifier, average)
        return state, Course(name, settings, AloneStep(see, labelled), look, classifier)
    network = ImageGenerator(settings.z_length, channels, side_px=side, width=settings.generator_width)
    generator = new_player(network, settings.generator_lr, engine)
    unlabelled = Batches(few.unlabelled, settings.batch_size, engine, (*parts, "unlabelled"))
    step = SemiSupervisedStep(see, labelled, unlabelled, settings.unlabelled_weight, parts)
    return TrainState(engine, generator, average, classifier), Course(name, settings, step, look, classifier)
