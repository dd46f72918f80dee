"""That adversarial losses, with the penalties they are meant for, teach a discriminator."""

from __future__ import annotations

import pytest
import torch

from degrain.data.patches import Batch
from training_support import adversarial_training

MEANT = {
    "relativistic-pairing": {"r1": {"weight": 0.1, "every": 1}, "r2": {"weight": 0.1, "every": 1}},
    "wasserstein": {},  # its gradient penalty comes with it
}


def smooth(generator, count=8):
    """Flat images, each of its own brightness: (B, 1, 16, 16)."""
    return torch.rand(count, 1, 1, 1, generator=generator).expand(count, 1, 16, 16).contiguous()


def grainy(generator, count=8):
    """The same with noise."""
    flat = smooth(generator, count)
    return flat + 0.1 * torch.randn(flat.shape, generator=generator)


def shares_told_apart(network, generator):
    """How often a grainy image scores higher than a smooth one."""
    with torch.no_grad():
        real, fake = (network(make(generator, 64)).logits.mean(dim=(1, 2, 3)) for make in (grainy, smooth))
    return (real.view(-1, 1) > fake).float().mean().item()


@pytest.mark.parametrize("loss", MEANT)
def test_a_discriminator_learns_to_tell_two_distributions_apart(make_params, loss):
    critic = {"width": 4, "spectral_norm": False}
    params = make_params(
        {
            "data": {"channels": 1},
            "train": {
                "batch_size": 8,
                "discriminator_lr": 3e-3,
                "adversarial": {"loss": loss},
                "discriminator": critic,
                "stabilisers": MEANT[loss],
            },
        }
    )
    state, plan = adversarial_training(params, None, seed=1)
    network, generator = state.discriminator.network, torch.Generator().manual_seed(0)
    assert shares_told_apart(network, generator) < 0.5
    for player in state.players().values():
        player.set_lr(1.0)
    for _ in range(40):
        clean, restored = grainy(generator), smooth(generator)
        stats = plan.step.discriminator_step(state, restored, Batch(clean, restored, torch.zeros(8)))
        state.step += 1
    assert shares_told_apart(network, generator) > 0.95
    if loss == "wasserstein":
        assert stats["gradient_penalty"] < 10 * 0.2**2  # the slope is 1, to a fifth
        distance = 0.1 * 16  # the norm of the noise on 16 x 16 pixels
        assert -distance < stats["discriminator"] < -distance / 2
