"""The step of adversarial training: the discriminator's turn, then the generator's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from degrain.build.adversarial_losses import adversarial_pair
from degrain.build.image_terms import ImageLoss, image_terms
from degrain.build.pixel_losses import PIXEL
from degrain.compute import Engine
from degrain.data.patches import Batch
from degrain.losses.adversarial import AdversarialPair
from degrain.losses.features import feature_matching
from degrain.models.discriminators import Judgement
from degrain.training.descend import Stats, descend
from degrain.training.stabilisers import Stabilisers
from degrain.training.state import Player, TrainState, frozen
from degrain.training.vitals import Vitals
from degrain.training_params import Train

# Little momentum: the direction that fools the discriminator turns with every step.
BETAS = (0.5, 0.99)


@dataclass(frozen=True)
class AdversarialStep:
    """Both players in alternation; the generator restores once for both turns.

    Parameters
    ----------
    pixel : loss of (restored, clean), one value a sample.
    adversarial : what each player minimises.
    image_terms : further losses of (restored, clean) by name, each with its weight.
    conditional : whether the discriminator sees the noisy image beside the one it judges.
    vitals : what is measured of it.
    """

    discriminator: Player
    pixel: Callable[[Tensor, Tensor], Tensor]
    pixel_weight: float
    image_terms: Mapping[str, tuple[ImageLoss, float]]
    adversarial: AdversarialPair
    adversarial_weight: float
    feature_matching_weight: float
    conditional: bool
    stabilisers: Stabilisers
    vitals: Vitals

    def __call__(self, state: TrainState, batch: Batch) -> Stats:
        """Update both players; see `descend` for what it returns and raises."""
        with state.engine.autocast():
            restored = state.generator.network(batch.noisy, batch.sigma)
        update = self.vitals.update_of(state.generator.network)
        return {
            **self.discriminator_step(state, restored.detach(), batch),
            **self.generator_step(state, restored, batch),
            **update(),
            **self.vitals.of_images(restored, batch.clean, batch.noisy),
        }

    def discriminator_step(self, state: TrainState, restored: Tensor, batch: Batch) -> Stats:
        """Teach the discriminator to tell restored (B, C, H, W) from clean."""
        shown = self.stabilisers.disguise(state, batch, restored)
        with state.engine.autocast():
            real = self._judge(shown.clean, shown.noisy).logits.float()
            fake = self._judge(shown.restored, shown.noisy).logits.float()
        terms = {
            "discriminator": self.adversarial.discriminator(real, fake).mean(),
            **self.stabilisers.discriminator_terms(
                state, lambda images: self._judge(images, shown.noisy).logits, shown, real, fake
            ),
        }
        means = {"real_logit": float(real.detach().mean()), "fake_logit": float(fake.detach().mean())}
        stats = descend(self.discriminator, "discriminator", terms, step=state.step)
        means |= self.vitals.of_logits(real, fake)
        return stats | means | self.stabilisers.remember(state, real, fake)

    def generator_step(self, state: TrainState, restored: Tensor, batch: Batch) -> Stats:
        """Teach the generator to stay near the clean pixels and to look real."""
        judged = self.judged_terms(state, restored, batch)
        terms = {
            "pixel": self.pixel(restored, batch.clean).mean() * self.pixel_weight,
            **{
                name: loss(restored, batch.clean).mean() * weight
                for name, (loss, weight) in self.image_terms.items()
            },
            **judged,
            **self.stabilisers.historical_term(state, "generator"),
        }
        return descend(state.generator, "generator", terms, step=state.step)

    def judged_terms(self, state: TrainState, restored: Tensor, batch: Batch) -> dict[str, Tensor]:
        """What the discriminator makes the generator pay for restored (B, C, H, W), weighted."""
        shown = self.stabilisers.disguise(state, batch, restored)
        with frozen(self.discriminator.network), state.engine.autocast():
            with torch.no_grad():
                real = self._judge(shown.clean, shown.noisy)
            fake = self._judge(shown.restored, shown.noisy)
            adversarial = self.adversarial.generator(real.logits.float(), fake.logits.float())
            terms = {"adversarial": adversarial.mean() * self.adversarial_weight}
            if self.feature_matching_weight:
                matching = feature_matching(
                    [f.float() for f in fake.features], [f.float() for f in real.features]
                )
                terms["feature_matching"] = matching.mean() * self.feature_matching_weight
        return terms

    def _judge(self, image: Tensor, noisy: Tensor) -> Judgement:
        seen = torch.cat([image, noisy], dim=1) if self.conditional else image
        judgement: Judgement = self.discriminator.network(seen)
        return judgement


def adversarial_step(settings: Train, discriminator: Player, *, seed: int) -> AdversarialStep:
    """The step with the terms, weights and stabilisers of the params."""
    smoothing = settings.stabilisers.label_smoothing
    pair = adversarial_pair(settings.adversarial.loss, real_label=1 - smoothing)
    return AdversarialStep(
        discriminator,
        PIXEL[settings.pixel.loss],
        settings.pixel.weight,
        image_terms(settings),
        pair,
        settings.adversarial.weight,
        settings.feature_matching.weight,
        settings.discriminator.conditional,
        Stabilisers(settings, pair.threshold, seed),
        Vitals(settings.health.enabled, pair.threshold),
    )


def discriminator_player(network: nn.Module, lr: float, engine: Engine) -> Player:
    """The discriminator with its optimiser, at a learning rate of its own; its gradient is not clipped.

    Source of two learning rates: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a
    Local Nash Equilibrium", 2017.
    """
    network = engine.place(network).train()
    return Player(network, torch.optim.Adam(network.parameters(), lr=lr, betas=BETAS, fused=True), lr)
