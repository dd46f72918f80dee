"""What keeps adversarial training stable, beside the losses: penalties, disguises and what they remember."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from degrain.data.patches import Batch
from degrain.losses.penalties import Score, gradient_penalty, historical_averaging, lecam, squared_gradient
from degrain.seeding import seeded_generator
from degrain.training.descend import Stats
from degrain.training.disguise import Shown, augmented, with_instance_noise
from degrain.training.state import TrainState
from degrain.training_params import Train

# Gulrajani et al., 2017.
WASSERSTEIN_PENALTY = 10.0
# Beyond it the generator begins to imitate the augmentation (Karras et al., 2020).
MOST_AUGMENTED = 0.8


@dataclass(frozen=True)
class Stabilisers:
    """The stabilisers of the params; what they remember is in `TrainState.memory`.

    Parameters
    ----------
    train : the params of the stage.
    threshold : see `AdversarialPair`.
    seed : of what is drawn, together with the step, so that a resumed training draws the same.
    """

    train: Train
    threshold: float | None
    seed: int

    def disguise(self, state: TrainState, batch: Batch, restored: Tensor) -> Shown:
        """What the discriminator is shown in this step, by the same draws in both turns.

        The probability of the augmentation moves between the turns, by what `remember` adds in a step.
        """
        shown = Shown(batch.clean, restored, batch.noisy)
        generator = seeded_generator(self.seed, "disguise", state.step)
        if state.memory.augmentation > 0:
            shown = augmented(shown, state.memory.augmentation, generator=generator)
        sigma = self.instance_sigma(state.step)
        return with_instance_noise(shown, sigma, generator=generator) if sigma > 0 else shown

    def instance_sigma(self, step: int) -> float:
        """Of the instance noise, on the images' scale: it falls in a line to zero."""
        noise = self.train.stabilisers.instance_noise
        return noise.sigma_255 / 255 * max(0.0, 1 - step / (noise.until * self.train.steps))

    def discriminator_terms(
        self, state: TrainState, score: Score, shown: Shown, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """The discriminator's penalties, weighted; `real` and `fake` are the logits of what was shown."""
        terms = dict(self._gradient_terms(state.step, score, shown))
        usual = self.train.stabilisers.lecam
        if usual.weight:
            memory = state.memory
            penalty = lecam(real, fake, usual_real=memory.real_logit, usual_fake=memory.fake_logit)
            terms["lecam"] = penalty.mean() * usual.weight
        return terms | self.historical_term(state, "discriminator")

    def _gradient_terms(self, step: int, score: Score, shown: Shown) -> Iterator[tuple[str, Tensor]]:
        settings = self.train.stabilisers
        for name, penalty, images in (
            ("r1", settings.r1, shown.clean),
            ("r2", settings.r2, shown.restored),
        ):
            if penalty.weight and step % penalty.every == 0:
                weight = penalty.weight / 2 * penalty.every
                yield name, squared_gradient(score, images).mean() * weight
        if weight := self.gradient_penalty_weight:
            generator = seeded_generator(self.seed, "gradient penalty", step)
            share = torch.rand(len(shown.clean), generator=generator).to(shown.clean.device)
            penalties = gradient_penalty(score, shown.clean, shown.restored, share)
            yield "gradient_penalty", penalties.mean() * weight

    @property
    def gradient_penalty_weight(self) -> float:
        """What the params say, or what auto stands for."""
        weight = self.train.stabilisers.gradient_penalty.weight
        if weight == "auto":
            return WASSERSTEIN_PENALTY if self.train.adversarial.loss == "wasserstein" else 0.0
        return weight

    def historical_term(self, state: TrainState, player: str) -> dict[str, Tensor]:
        """A player's distance from its average over all steps, this one included, which takes it in."""
        weight = self.train.stabilisers.historical_averaging.weight
        if not weight:
            return {}
        network = state.players()[player].network
        weights = torch.cat([weight.flatten() for weight in network.parameters()])
        average = state.memory.averages.setdefault(player, torch.zeros_like(weights))
        average.lerp_(weights.detach(), 1 / (state.step + 1))
        return {f"{player}_history": historical_averaging(weights, average) * weight}

    @torch.no_grad()
    def remember(self, state: TrainState, real: Tensor, fake: Tensor) -> Stats:
        """Take in the logits of a step; returns the probability of augmentation, where there is one."""
        settings, memory = self.train.stabilisers, state.memory
        if settings.lecam.weight:
            decay = settings.lecam.decay
            memory.real_logit += (1 - decay) * (float(real.mean()) - memory.real_logit)
            memory.fake_logit += (1 - decay) * (float(fake.mean()) - memory.fake_logit)
        if not settings.augmentation.enabled:
            return {}
        sure = (real - (fake if self.threshold is None else self.threshold)).sign().mean()
        change = self.train.batch_size / settings.augmentation.ramp_images
        change *= 1 if float(sure) > settings.augmentation.target else -1
        memory.augmentation = min(max(memory.augmentation + change, 0.0), MOST_AUGMENTED)
        return {"augmentation": memory.augmentation}
