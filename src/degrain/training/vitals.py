"""Figures of how adversarial training goes, beside its losses. They draw nothing and change nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from degrain.training.descend import Stats

TINY = 1e-12


@dataclass(frozen=True)
class Vitals:
    """What is measured at every step, if anything.

    Parameters
    ----------
    threshold : as in `AdversarialPair`; with None it is right about both images of a pair or about neither.
    """

    enabled: bool
    threshold: float | None = 0.0

    @torch.no_grad()
    def of_logits(self, real: Tensor, fake: Tensor) -> Stats:
        """How well the discriminator tells apart, by its logits of clean and of restored images.

        Parameters
        ----------
        real, fake : logits (B, ...) of pairs.

        Returns
        -------
        real_accuracy, fake_accuracy : share of the logits that are on the right side.
        told_apart : share of the pairs in which the clean image scores higher; 0.5 by chance.
        logit_gap : mean difference.
        """
        if not self.enabled:
            return {}
        difference = real - fake
        apart = ((difference > 0).float().mean() + (difference >= 0).float().mean()) / 2  # a tie counts half
        accuracies = [apart, apart]
        if self.threshold is not None:
            accuracies = [(real > self.threshold).float().mean(), (fake < self.threshold).float().mean()]
        names = ("real_accuracy", "fake_accuracy", "told_apart", "logit_gap")
        return _fetched(names, [*accuracies, apart, difference.mean()])

    @torch.no_grad()
    def of_images(
        self, restored: Tensor, clean: Tensor, noisy: Tensor, *, again: Tensor | None = None
    ) -> Stats:
        """What the restorations are like, (B, C, H, W) each.

        Parameters
        ----------
        again : the same images restored with other noise z, where the generator takes any.

        Returns
        -------
        gain_db : how much nearer than the noisy images they are to the clean ones.
        detail : power of their high frequencies; that of the clean images is 1.
        variety : how much they differ within the batch; the clean images do by 1. Not of a single image.
        diversity : how much one image's restorations differ; see `diversity`. Only with `again`.
        """
        if not self.enabled:
            return {}
        restored = restored.detach().float()
        before, after = ((image - clean).square().sum() for image in (noisy, restored))
        figures = {
            "gain_db": 10 * (_ratio(before, after) + TINY).log10(),
            "detail": _ratio(high_frequency_power(restored), high_frequency_power(clean)),
        }
        if len(clean) > 1:
            figures["variety"] = _ratio(_spread(restored), _spread(clean))
        if again is not None:
            figures["diversity"] = diversity(restored, again.detach().float(), clean)
        return _fetched(tuple(figures), list(figures.values()))

    def update_of(self, network: nn.Module) -> Callable[[], Stats]:
        """Call it before an update, and what it returns once after: update_ratio, |change| / |weights|."""
        if not self.enabled:
            return dict
        weights: list[Tensor] = list(network.parameters())
        change = [weight.detach().clone() for weight in weights]

        @torch.no_grad()
        def measured() -> Stats:
            torch._foreach_sub_(change, weights)
            sizes = [torch.stack(torch._foreach_norm(each)).norm() for each in (change, weights)]
            return _fetched(("update_ratio",), [_ratio(*sizes)])

        return measured


@torch.no_grad()
def diversity(one: Tensor, other: Tensor, clean: Tensor) -> Tensor:
    """How much two restorations from other noise z differ, by how far one is from clean: a scalar.

    Samples of the true distribution differ from one another as they do from the truth, which is one of them:
    1. A generator that ignores z: 0. Images are (B, C, H, W).
    """
    return _ratio((one - other).square().mean().sqrt(), (one - clean).square().mean().sqrt())


def high_frequency_power(images: Tensor) -> Tensor:
    """Power of images (B, C, H, W) beyond half the highest frequency, a quarter of a cycle a pixel."""
    spectrum = torch.fft.rfft2(images, norm="ortho")
    power = spectrum.real.square() + spectrum.imag.square()
    return torch.sum(power * _beyond(*images.shape[2:], images.device))


@cache
def _beyond(height: int, width: int, device: torch.device) -> Tensor:
    """(height, width // 2 + 1): how often each frequency counts, twice where its mirror image is left out."""
    down, right = torch.fft.fftfreq(height, device=device), torch.fft.rfftfreq(width, device=device)
    counts = torch.full_like(right, 2.0)
    counts[0] = 1.0
    if width % 2 == 0:
        counts[-1] = 1.0
    return (torch.hypot(down[:, None], right) > 0.25) * counts


def _spread(images: Tensor) -> Tensor:
    """Root mean square distance from the mean of the batch."""
    return (images - images.mean(0)).square().mean().sqrt()


def _ratio(one: Tensor, other: Tensor) -> Tensor:
    return one / other.clamp(min=TINY)


def _fetched(names: tuple[str, ...], values: list[Tensor]) -> Stats:
    """The figures as numbers, in one transfer: each would make a GPU wait."""
    return dict(zip(names, torch.stack(values).tolist(), strict=True))
