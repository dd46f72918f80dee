"""Images from noise: generator against critic, by the losses and stabilisers of the denoiser's training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from degrain.build.adversarial_losses import adversarial_pair
from degrain.compute import Engine
from degrain.data.patches import Batch
from degrain.generation.labelled import Labelled
from degrain.generation.loop import Batches, Course, average_of, new_player
from degrain.generation.making import noise_vectors
from degrain.generation_params import DcganSection
from degrain.losses.adversarial import AdversarialPair
from degrain.models.dcgan import DcganCritic
from degrain.models.image_generator import ImageGenerator
from degrain.training.descend import Stats, descend
from degrain.training.stabilisers import Stabilisers
from degrain.training.state import Player, TrainState, frozen
from degrain.training.vitals import Vitals


@dataclass(frozen=True)
class DcganStep:
    """Both players in alternation; the generator makes images once for both turns.

    The steps are those of `degrain.training.adversarial`, less all that an input image is needed for.

    Attributes
    ----------
    batches : the real images.
    adversarial : what each player minimises.
    seed : of z, together with the step.
    """

    critic: Player
    batches: Batches
    adversarial: AdversarialPair
    stabilisers: Stabilisers
    vitals: Vitals
    seed: int

    def __call__(self, state: TrainState) -> Stats:
        """Update both players; see `descend` for what it returns and raises."""
        real, _ = self.batches(state.step)
        z = noise_vectors(len(real), state.generator.network, self.seed, "z", state.step)
        with state.engine.autocast():
            fake = state.generator.network(state.engine.send(z))
        figures = self.vitals.of_images(fake, real, real)
        return {
            **self.critic_step(state, real, fake.detach()),
            **self.generator_step(state, real, fake),
            **{name: figures[name] for name in ("detail", "variety")},
        }

    def critic_step(self, state: TrainState, real: Tensor, fake: Tensor) -> Stats:
        """Teach the critic to tell generated images (B, C, S, S) from real ones."""
        shown = self.stabilisers.disguise(state, unpaired(real), fake)
        with state.engine.autocast():
            real_logits, fake_logits = self.judge(shown.clean).float(), self.judge(shown.restored).float()
        penalties = self.stabilisers.discriminator_terms(state, self.judge, shown, real_logits, fake_logits)
        terms = {"critic": self.adversarial.discriminator(real_logits, fake_logits).mean(), **penalties}
        stats = descend(self.critic, "critic", terms, step=state.step)
        told = self.vitals.of_logits(real_logits, fake_logits)
        return stats | told | self.stabilisers.remember(state, real_logits, fake_logits)

    def generator_step(self, state: TrainState, real: Tensor, fake: Tensor) -> Stats:
        """Teach the generator to make what the critic takes for real."""
        shown = self.stabilisers.disguise(state, unpaired(real), fake)
        with frozen(self.critic.network), state.engine.autocast():
            with torch.no_grad():
                real_logits = self.judge(shown.clean).float()
            fake_logits = self.judge(shown.restored).float()
        terms = {
            "generator": self.adversarial.generator(real_logits, fake_logits).mean(),
            **self.stabilisers.historical_term(state, "generator"),
        }
        return descend(state.generator, "generator", terms, step=state.step)

    def judge(self, image: Tensor) -> Tensor:
        """Logits (B, 1) of images (B, C, S, S) in [0, 1], which the critic sees from -1 to 1."""
        logits: Tensor = self.critic.network(2 * image - 1)
        return logits


def unpaired(real: Tensor) -> Batch:
    """Real images where the stabilisers expect pairs; what would be the noisy one is seen by nobody."""
    return Batch(real, real, real.new_zeros(len(real)))


def start_dcgan(
    real: Labelled,
    settings: DcganSection,
    engine: Engine,
    *,
    seed: int,
    look: Callable[[TrainState], Stats],
) -> tuple[TrainState, Course]:
    """The training at step 0."""
    torch.manual_seed(seed)
    channels, side = real.images.shape[1], real.images.shape[-1]
    generator = ImageGenerator(settings.z_length, channels, side_px=side, width=settings.width)
    critic = DcganCritic(channels, side_px=side, width=settings.critic_width)
    players = [
        new_player(network, lr, engine)
        for network, lr in ((generator, settings.lr), (critic, settings.critic_lr))
    ]
    pair = adversarial_pair(settings.adversarial.loss, real_label=1 - settings.stabilisers.label_smoothing)
    step = DcganStep(
        players[1],
        Batches(real, settings.batch_size, engine, (seed, "dcgan")),
        pair,
        Stabilisers(settings, pair.threshold, seed),  # type: ignore[arg-type]  # it has what is asked of `Train`
        Vitals(enabled=True, threshold=pair.threshold),
        seed,
    )
    state = TrainState(engine, players[0], average_of(players[0], settings), players[1])
    return state, Course("dcgan", settings, step, look, players[0])
