"""Small trainings for tests: patches of one photograph, and states that can be compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from degrain.build.degrader import Degrader
from degrain.build.discriminator import build_discriminator
from degrain.build.generator import build_generator
from degrain.build.pixel_losses import PIXEL
from degrain.compute import Engine
from degrain.data.patches import PatchDataset, cut_patches, write_shards
from degrain.models.unet import made_stochastic
from degrain.training.adversarial import adversarial_step, discriminator_player
from degrain.training.loop import Plan
from degrain.training.pixel import PixelStep
from degrain.training.sampling import SamplingStep
from degrain.training.setup import start_state

if TYPE_CHECKING:
    from pathlib import Path

    from degrain.params import Params
    from degrain.training.descend import Stats
    from degrain.training.state import TrainState
    from degrain.training_params import Optimisation

CPU = Engine(torch.device("cpu"), torch.float32)
# Every stabiliser at once, so strong that each shows within a few steps.
STABILISED = {
    "discriminator_lr": 0.01,
    "discriminator": {"minibatch_std": True},
    "stabilisers": {
        "r1": {"weight": 0.1, "every": 2},
        "r2": {"weight": 0.1, "every": 3},
        "gradient_penalty": {"weight": 0.1},
        "historical_averaging": {"weight": 0.1},
        "label_smoothing": 0.1,
        "lecam": {"weight": 0.1, "decay": 0.5},
        "augmentation": {"enabled": True, "target": 0.6, "ramp_images": 20},
        "instance_noise": {"sigma_255": 10, "until": 1.0},
    },
}


class Recorder:
    """Keeps what a training logs."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.tags: dict[str, str] = {}

    def log_metrics(self, step: int, metrics: dict[str, float]) -> None:
        self.rows.append((step, dict(metrics)))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self.tags |= tags

    def flush(self) -> None:
        pass


def trained_like(network: nn.Module) -> nn.Module:
    """Weights away from their start, which makes networks of ours do nothing."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) / weight[0].numel() ** 0.5)
    return network.eval()


def small_dataset(params: Params, settings: Optimisation, photo: np.ndarray, folder: Path) -> PatchDataset:
    """Batches cut out of one photograph, made noisy as the params say."""
    patches = params.patches.model_copy(update={"side_px": 48, "stride": 40, "scales": (1.0,)})
    write_shards([cut_patches(np.rint(photo * 255).astype(np.uint8), patches)], folder)
    sizes = {"batch_size": settings.batch_size, "crop": settings.patch_size}
    return PatchDataset(folder, Degrader(params.noise), **sizes, colour_jitter=0.0, seed=str(params.seed))


def summary_of_weights(state: TrainState) -> Stats:
    """Stands in for validation: a figure that any change of the averaged weights changes."""
    return {"val_psnr": sum(float(weight.double().abs().sum()) for weight in state.ema.network.parameters())}


def pixel_training(
    params: Params, data: PatchDataset, *, seed: int = 0, validate: Callable[..., Stats] = summary_of_weights
) -> tuple[TrainState, Plan]:
    """Stage pretrain's state and plan."""
    torch.manual_seed(seed)
    generator = build_generator(params.model, params.data.channels)
    state = start_state(generator, params.pretrain, CPU)
    return state, Plan(
        params.pretrain,
        data,
        PixelStep(PIXEL[params.pretrain.loss], params.pretrain.balance_levels),
        validate,
    )


def adversarial_training(
    params: Params,
    data: PatchDataset,
    *,
    seed: int = 0,
    generator: nn.Module | None = None,
    validate: Callable[..., Stats] = summary_of_weights,
    engine: Engine = CPU,
) -> tuple[TrainState, Plan]:
    """Stage train's state and plan."""
    settings, channels = params.train, params.data.channels
    torch.manual_seed(seed)
    critic = build_discriminator(settings.discriminator, channels, side_px=settings.patch_size)
    discriminator = discriminator_player(critic, settings.discriminator_lr, engine)
    generator = generator or trained_like(build_generator(params.model, channels))
    step = adversarial_step(settings, discriminator, seed=params.seed)
    if params.model.stochastic:
        generator, step = made_stochastic(generator), SamplingStep(step, settings.sampling, params.seed)
    state = start_state(generator, settings, engine, discriminator=discriminator)
    return state, Plan(settings, data, step, validate)


def copied(network: nn.Module) -> dict[str, torch.Tensor]:
    """A network's weights and buffers as they are now."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def parameters(network: nn.Module) -> dict[str, torch.Tensor]:
    """A network's weights, without buffers, as they are now."""
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def same(one: Any, other: Any) -> bool:
    """Whether nested states are the same, to the last bit of every tensor and float."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
