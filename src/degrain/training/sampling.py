"""Training a generator that takes noise z to give samples of all that a noisy image may have been."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from degrain.data.patches import Batch
from degrain.sampling_params import Sampling
from degrain.seeding import seeded_generator
from degrain.training.adversarial import AdversarialStep
from degrain.training.descend import Stats, descend
from degrain.training.pixel import level_weights
from degrain.training.state import TrainState


@dataclass(frozen=True)
class SamplingStep:
    """Both players in alternation; the generator restores each patch several times, each with a z of its own.

    Single restorations must look real to the discriminator, and their mean is held to the clean image: so
    that it becomes the one of least squared error, whatever their variance.

    Parameters
    ----------
    players : of whose terms those that the discriminator gives for single restorations count.
    seed : of z, together with the step, so that a resumed training draws the same.

    Source: Ohayon et al., "High Perceptual Quality Image Denoising with a Posterior Sampling CGAN", 2021.
    """

    players: AdversarialStep
    settings: Sampling
    seed: int

    def __call__(self, state: TrainState, batch: Batch) -> Stats:
        """Update both players; see `descend` for what it returns and raises."""
        samples = self.draw(state, batch)
        update = self.players.vitals.update_of(state.generator.network)
        return {
            **self.players.discriminator_step(state, samples[0].detach(), batch),
            **self.generator_step(state, samples, batch),
            **update(),
            **self.figures(samples, batch),
        }

    def draw(self, state: TrainState, batch: Batch) -> Tensor:
        """Restorations (K, B, C, H, W) of the batch."""
        count = self.settings.samples
        generator = seeded_generator(self.seed, "z", state.step)
        z = torch.randn((count * len(batch.noisy), *batch.noisy.shape[1:]), generator=generator)
        noisy, sigma = batch.noisy.repeat(count, 1, 1, 1), batch.sigma.repeat(count)
        with state.engine.autocast():
            samples: Tensor = state.generator.network(noisy, sigma, state.engine.send(z))
        return torch.stack(samples.chunk(count))

    def figures(self, samples: Tensor, batch: Batch) -> Stats:
        """What samples (K, B, C, H, W) are like; the gain is that of their mean, for one alone loses 3 dB."""
        images, measure = (batch.clean, batch.noisy), self.players.vitals.of_images
        of_mean = measure(samples.detach().mean(0), *images)
        of_one = measure(samples[0], *images, again=samples[1])
        return of_one | {name: value for name, value in of_mean.items() if name == "gain_db"}

    def generator_step(self, state: TrainState, samples: Tensor, batch: Batch) -> Stats:
        """Teach the generator to look real, and the mean of its samples (K, B, C, H, W) to be right."""
        samples = samples.float()
        errors = mean_penalty(samples, batch.clean) * level_weights(batch.sigma)
        terms = {
            "pixel": errors.mean() * self.settings.weight,
            "energy": energy_score(samples, batch.clean).mean() * self.settings.energy_weight,
            "spread": spread_penalty(samples, batch) * self.settings.spread_weight,
            "adversarial": self.players.judged_terms(state, samples[0], batch)["adversarial"],
            **self.players.stabilisers.historical_term(state, "generator"),
        }
        return descend(state.generator, "generator", terms, step=state.step)


def mean_penalty(samples: Tensor, clean: Tensor) -> Tensor:
    """Squared error of the mean over all z, estimated without bias from K samples, at least 2.

    That of the mean of the K alone is larger by 1/K of their variance, and would pull it down.

    Parameters
    ----------
    samples : (K, B, C, H, W); clean : (B, C, H, W).

    Returns
    -------
    (B,) penalties; some may be negative.

    Source: the first-moment penalty of Ohayon et al., 2021; the estimate is the usual one of a squared mean.
    """
    error, count = samples - clean, len(samples)
    of_mean, each = error.mean(0).square(), error.square().mean(0)
    return ((count * of_mean - each) / (count - 1)).flatten(1).mean(1)


def energy_score(samples: Tensor, clean: Tensor) -> Tensor:
    """How far samples are from the clean pixel, less half of how far they are from one another.

    Least for samples that are spread at each pixel as the truth is, in brightness and in colour; how pixels
    go together it does not see. Taken of red, green and blue, it would leave coloured grain where only the
    brightness is unsure.

    Parameters
    ----------
    samples : (K, B, C, H, W), K at least 2; clean : (B, C, H, W).

    Returns
    -------
    (B,) scores, at least 0 on average.

    Source: the continuous ranked probability score in the form of Gneiting and Raftery, "Strictly Proper
    Scoring Rules, Prediction, and Estimation", 2007, section 4.2.
    """
    samples, clean, count = opponent(samples), opponent(clean), len(samples)
    apart = torch.stack([(samples[n:] - samples[:-n]).abs().sum(0) for n in range(1, count)]).sum(0)
    scores = (samples - clean).abs().mean(0) - apart / (count * (count - 1))
    return scores.flatten(1).mean(1)


def spread_penalty(samples: Tensor, batch: Batch) -> Tensor:
    """How far the variance over z is from the squared error of the mean, over the whole batch.

    Both are means over all pixels, noise levels counting alike: it sets how much samples differ, in
    brightness and in colour, and leaves to the other terms where. It pulls at the variance alone.

    Parameters
    ----------
    samples : (K, B, C, H, W), K at least 2; noise levels and clean images are those of the batch.

    Returns
    -------
    A scalar, ((variance - error) / (variance + error))^2: 0 if they are equal, 1 if one of them is 0; in
    colour the mean over the `opponent` channels.

    Source: a reward of the deviation that is held to the error, as in Bendel et al., "A Regularized
    Conditional GAN for Posterior Sampling in Image Recovery Problems", 2023; here in closed form.
    """
    weights = level_weights(batch.sigma)
    channels = zip(
        torch.split(opponent(samples), 1, dim=2), torch.split(opponent(batch.clean), 1, dim=1), strict=True
    )
    return torch.stack([_spread(*channel, weights) for channel in channels]).mean()


def _spread(samples: Tensor, clean: Tensor, weights: Tensor) -> Tensor:
    """The penalty of one channel, samples (K, B, 1, H, W)."""
    error = (mean_penalty(samples.detach(), clean) * weights).mean().clamp(min=0)
    variance = (samples.var(0).flatten(1).mean(1) * weights).mean()
    return ((variance - error) / (variance + error).clamp(min=1e-12)).square()


def opponent(images: Tensor) -> Tensor:
    """Images (..., 3, H, W) as brightness and two differences, in an orthonormal basis; grey as it is.

    The channels of photographs go together; these hardly do.

    Source: Ohta et al., "Color Information for Region Segmentation", 1980.
    """
    if images.shape[-3] != 3:
        return images
    red, green, blue = images.unbind(-3)
    axes = (red + green + blue) / 3**0.5, (red - blue) / 2**0.5, (red - 2 * green + blue) / 6**0.5
    return torch.stack(axes, dim=-3)
