"""Learning noise from blocks of it: Wasserstein distance with gradient penalty, generator against critic.

Source: Chen et al., "Image Blind Denoising With Generative Adversarial Network Based Noise Modeling", CVPR
2018, section 3.3; here both players also see the brightness of the block and the noise level of its image. By
default the critic takes 2 steps for one of the generator, and its penalty weighs 1, where Gulrajani et al.,
"Improved Training of Wasserstein GANs", 2017, have 5 and 10.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from degrain.build.learned_noise import build_block_noise
from degrain.compute import Engine
from degrain.losses.adversarial import wasserstein
from degrain.losses.penalties import gradient_penalty
from degrain.models.block_noise import BlockNoise, BlockNoiseCritic
from degrain.noise.blocks import NoiseBlocks
from degrain.noise_model_params import NoiseModelSection
from degrain.seeding import seeded_generator
from degrain.training.checkpoint import Checkpoint
from degrain.training.descend import Stats, descend
from degrain.training.ema import Ema
from degrain.training.schedule import warmup_cosine
from degrain.training.state import Player, TrainState, frozen

# Of Adam, as Gulrajani et al., 2017, but for a shorter memory of squares: trainings here are short.
BETAS = (0.0, 0.9)
CHECKPOINT_SECONDS = 20.0
CALIBRATION_BATCHES = 32
BLOCKS_AT_ONCE = 512


@dataclass(frozen=True)
class Shown:
    """Real blocks of one update, and what both players are told of them.

    unit : (B, C, S, S), in units of the level. brightness : (B, C). level_255 : (B,). z : (B, numbers).
    """

    unit: Tensor
    brightness: Tensor
    level_255: Tensor
    z: Tensor


class BlockSampler:
    """Random real blocks; those of an update depend on the seed and on its number alone."""

    def __init__(
        self, blocks: NoiseBlocks, settings: NoiseModelSection, engine: Engine, *, seed: int, numbers: int
    ) -> None:
        self.noise, self.brightness, self.level_255 = (
            torch.from_numpy(values) for values in (blocks.noise, blocks.brightness, blocks.level_255)
        )
        self.settings, self.engine, self.seed, self.numbers = settings, engine, seed, numbers

    def __call__(self, step: int, turn: int) -> Shown:
        """Blocks and noise vectors for the update `turn` of a step."""
        generator = seeded_generator(self.seed, "noise model", step, turn)
        count = self.settings.batch_size
        chosen = torch.randint(len(self.noise), (count,), generator=generator)
        level = self.level_255[chosen]
        unit = self.noise[chosen] * (255 / level).view(-1, 1, 1, 1)
        z = torch.randn(count, self.numbers, generator=generator)
        values = (unit, self.brightness[chosen], level, z)
        return Shown(*(self.engine.send(value) for value in values))


def learn_noise(
    blocks: NoiseBlocks, settings: NoiseModelSection, engine: Engine, *, seed: int, checkpoint: Checkpoint
) -> BlockNoise:
    """The trained generator, its weights averaged; on from the checkpoint if there is one.

    Raises
    ------
    Diverged : a loss is not finite any more; the last good checkpoint is kept.
    """
    torch.manual_seed(seed)
    state, saved_at = _start(blocks, settings, engine), time.monotonic()
    resumed = checkpoint.load()
    if resumed is not None:
        state.load_state_dict(resumed)
    network: BlockNoise = state.ema.network  # type: ignore[assignment]
    shown = BlockSampler(blocks, settings, engine, seed=seed, numbers=network.numbers)
    players = state.players()
    with tqdm(total=settings.steps, initial=state.step, desc="noise model", unit="step") as bar:
        for step in range(state.step, settings.steps):
            for player in players.values():
                player.set_lr(warmup_cosine(step, steps=settings.steps, warmup_steps=settings.warmup_steps))
            for turn in range(settings.critic_steps):
                stats = critic_step(
                    state, shown(step, turn), settings.gradient_penalty, seeds=(seed, step, turn)
                )
            stats |= generator_step(state, shown(step, settings.critic_steps))
            state.step += 1
            seen = state.step * settings.batch_size
            state.ema.update(state.generator.network, images=settings.batch_size, images_seen=seen)
            bar.set_postfix_str(f"critic {stats['critic']:.3f}", refresh=False)
            bar.update()
            if time.monotonic() - saved_at > CHECKPOINT_SECONDS:
                checkpoint.save(state.state_dict())
                saved_at = time.monotonic()
    calibrate(network, [shown(settings.steps, turn) for turn in range(CALIBRATION_BATCHES)])
    return network


@torch.no_grad()
def calibrate(network: BlockNoise, batches: list[Shown]) -> None:
    """Set the gain so that what is made is as strong as what was shown.

    A short training gets the look of noise right long before its strength, to some percent.
    """
    made = [network.unit(shown.z, shown.brightness, shown.level_255) for shown in batches]
    powers = (torch.cat(units).square().mean() for units in ([shown.unit for shown in batches], made))
    real, fake = powers
    network.gain.mul_((real / fake).sqrt())


@torch.no_grad()
def make_blocks(network: BlockNoise, like: NoiseBlocks, engine: Engine, *, seed: int) -> NDArray[np.float32]:
    """Noise at the brightness and level of each of some real blocks: (N, C, S, S)."""
    generator = seeded_generator(seed, "made blocks")
    z = torch.randn(len(like), network.numbers, generator=generator)
    told = (z, torch.from_numpy(like.brightness), torch.from_numpy(like.level_255))
    parts = zip(*(torch.split(values, BLOCKS_AT_ONCE) for values in told), strict=True)
    return torch.cat([network(*map(engine.send, part)).cpu() for part in parts]).numpy()


def critic_step(state: TrainState, shown: Shown, penalty_weight: float, *, seeds: tuple[int, ...]) -> Stats:
    """Teach the critic to tell real blocks from made ones."""
    generator, critic = state.generator.network, state.players()["discriminator"]
    with torch.no_grad():
        fake = generator.unit(shown.z, shown.brightness, shown.level_255)  # type: ignore[operator]

    def score(unit: Tensor) -> Tensor:
        logits: Tensor = critic.network(unit, shown.brightness, shown.level_255)
        return logits

    share = torch.rand(len(fake), generator=seeded_generator("penalty", *seeds)).to(fake)
    terms = {
        "critic": wasserstein.discriminator(score(shown.unit), score(fake)).mean(),
        "gradient_penalty": gradient_penalty(score, shown.unit, fake, share).mean() * penalty_weight,
    }
    return descend(critic, "critic", terms, step=state.step)


def generator_step(state: TrainState, shown: Shown) -> Stats:
    """Teach the generator to make what the critic takes for real."""
    critic = state.players()["discriminator"]
    with frozen(critic.network):
        fake = state.generator.network.unit(shown.z, shown.brightness, shown.level_255)  # type: ignore[operator]
        logits = critic.network(fake, shown.brightness, shown.level_255)
        terms = {"generator": wasserstein.generator(logits, logits).mean()}
        return descend(state.generator, "generator", terms, step=state.step)


def _start(blocks: NoiseBlocks, settings: NoiseModelSection, engine: Engine) -> TrainState:
    channels = blocks.noise.shape[1]
    generator = build_block_noise(settings, channels)
    levels = torch.from_numpy(blocks.level_255)
    generator.levels_255.copy_(torch.stack([levels.min(), levels.max()]))
    critic = BlockNoiseCritic(channels, side_px=settings.blocks.side_px, width=settings.width)
    players = list(_players([generator, critic], settings, engine))
    ema = Ema(players[0].network, half_life_images=settings.ema_half_life_images)
    return TrainState(engine, players[0], ema, players[1])


def _players(
    networks: list[torch.nn.Module], settings: NoiseModelSection, engine: Engine
) -> Iterator[Player]:
    for network in networks:
        placed = engine.place(network).train()
        optimizer = torch.optim.Adam(placed.parameters(), lr=settings.lr, betas=BETAS, fused=True)
        yield Player(placed, optimizer, settings.lr)
