"""The filters people use today, to measure the networks against.

Constants were chosen on one photograph, scikit-learn's flower.jpg, in colour and in grey at sigma
15, 25 and 50: never on test images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pywt
from numpy.typing import NDArray
from scipy import ndimage
from skimage.restoration import denoise_bilateral, denoise_nl_means, denoise_tv_chambolle, denoise_wavelet

Image = NDArray[np.float32]
Baseline = Callable[[Image, float], Image]
Pairs = Sequence[tuple[Image, Image]]
Score = Callable[[Image, Image], float]

# Sigma 0 divides by zero in several filters; a tenth of an 8-bit step leaves an image as it is.
_SMALLEST_SIGMA = 0.1 / 255


def mean(noisy: Image, size_px: float) -> Image:
    """Average over a square of `size_px` pixels; (H, W, C), each channel by itself."""
    side = int(size_px)
    return _float32(ndimage.uniform_filter(noisy, (side, side, 1)))


def median(noisy: Image, size_px: float) -> Image:
    """Median over a square of `size_px` pixels; (H, W, C), each channel by itself."""
    side = int(size_px)
    return _float32(ndimage.median_filter(noisy, (side, side, 1)))


def gaussian(noisy: Image, size_px: float) -> Image:
    """Gaussian blur of standard deviation `size_px` pixels; (H, W, C), each channel by itself."""
    return _float32(ndimage.gaussian_filter(noisy, (size_px, size_px, 0)))


def bilateral(noisy: Image, sigma: float) -> Image:
    """Average over the values in a 7 x 7 window that differ little; (H, W, C), `sigma` of the noise.

    Source: Tomasi and Manduchi, "Bilateral filtering for gray and color images", 1998.
    """
    # scikit-image 0.26 reads its table of spatial weights with the wrong row length, which skews
    # the window: equal weights are immune. It also scales sigma_color wrongly for negative values
    # (hence the offset), and compares a C-th of the distance in C channels.
    offset = noisy.min()
    restored = denoise_bilateral(
        _plane(noisy - offset),
        win_size=7,
        sigma_color=3 * _positive(sigma) / noisy.shape[-1],
        sigma_spatial=1e6,
        mode="reflect",
        channel_axis=_channel_axis(noisy),
    )
    return _float32(restored + offset).reshape(noisy.shape)


def total_variation(noisy: Image, sigma: float) -> Image:
    """Least total variation near the image; (H, W, C), `sigma` of the noise.

    Source: Chambolle, "An algorithm for total variation minimization and applications", 2004.
    """
    # With the default eps it stops after an erratic number of steps, at a loss of up to 2 dB.
    restored = denoise_tv_chambolle(noisy, weight=0.9 * _positive(sigma), eps=1e-5, channel_axis=-1)
    return _float32(restored)


def wavelet(noisy: Image, sigma: float) -> Image:
    """BayesShrink on sym4 wavelets, averaged over four shifts; (H, W, C), `sigma` of the noise.

    Colour is filtered as luma and chroma.

    Sources: Chang, Yu and Vetterli, "Adaptive wavelet thresholding for image denoising and
    compression", 2000; Coifman and Donoho, "Translation-invariant de-noising", 1995.
    """
    shifts = [(down, right) for down in (0, 1) for right in (0, 1)]
    restored = [_unroll(_shrink(_roll(noisy, shift), sigma), shift) for shift in shifts]
    return _float32(np.mean(restored, axis=0))


def non_local_means(noisy: Image, sigma: float) -> Image:
    """Average over similar patches within 6 pixels; (H, W, C), `sigma` of the noise.

    Source: Buades, Coll and Morel, "A non-local algorithm for image denoising", 2005; the fast
    mode is Darbon et al., "Fast nonlocal filtering applied to electron cryomicroscopy", 2008.
    """
    colour = noisy.shape[-1] > 1
    restored = denoise_nl_means(
        _plane(noisy),
        patch_size=5 if colour else 7,
        patch_distance=6,
        h=(0.6 if colour else 0.7) * _positive(sigma),
        sigma=sigma,
        fast_mode=True,
        channel_axis=_channel_axis(noisy),
    )
    return _float32(restored).reshape(noisy.shape)


# The second argument of those that `SIZES` names is one of their sizes in pixels; the others take
# sigma, the standard deviation of the noise on the scale of the image.
BASELINES: dict[str, Baseline] = {
    "mean": mean,
    "median": median,
    "gaussian": gaussian,
    "bilateral": bilateral,
    "total_variation": total_variation,
    "wavelet": wavelet,
    "non_local_means": non_local_means,
}
SIZES: dict[str, tuple[float, ...]] = {
    "mean": (3, 5, 7),
    "median": (3, 5, 7),
    "gaussian": (0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4),
}


def best_size(name: str, pairs: Pairs, score: Score) -> float:
    """The size of `SIZES[name]` with the best mean score, the smallest of equals.

    Parameters
    ----------
    pairs : (noisy, clean) validation images, (H, W, C).
    score : (restored, clean) -> the higher the better, such as PSNR.
    """
    if not pairs:
        msg = f"no validation images to choose the size of the {name} filter by"
        raise ValueError(msg)
    restore = BASELINES[name]

    def mean_score(size: float) -> float:
        return float(np.mean([score(restore(noisy, size), clean) for noisy, clean in pairs]))

    return max(SIZES[name], key=mean_score)


def fitted(name: str, pairs: Pairs, score: Score) -> Baseline:
    """The baseline as (noisy, sigma) -> restored, whatever its settings follow from; see `best_size`."""
    if name not in SIZES:
        return BASELINES[name]
    size = best_size(name, pairs, score)
    return lambda noisy, sigma: BASELINES[name](noisy, size)


def _shrink(noisy: Image, sigma: float) -> Image:
    shrunk = denoise_wavelet(
        _plane(noisy),
        sigma=_positive(sigma),
        wavelet="sym4",
        wavelet_levels=max(1, min(4, pywt.dwt_max_level(min(noisy.shape[:2]), "sym4"))),
        convert2ycbcr=noisy.shape[-1] == 3,
        rescale_sigma=True,
        channel_axis=_channel_axis(noisy),
    )
    return _float32(shrunk).reshape(noisy.shape)


def _roll(image: Image, shift: tuple[int, int]) -> Image:
    return np.roll(image, shift, axis=(0, 1))


def _unroll(image: Image, shift: tuple[int, int]) -> Image:
    return np.roll(image, (-shift[0], -shift[1]), axis=(0, 1))


def _positive(sigma: float) -> float:
    return max(sigma, _SMALLEST_SIGMA)


def _plane(image: Image) -> Image:
    """(H, W, 1) as (H, W), which scikit-image's filters for one channel want; else unchanged."""
    return image[..., 0] if image.shape[-1] == 1 else image


def _channel_axis(image: Image) -> int | None:
    return None if image.shape[-1] == 1 else -1


def _float32(image: NDArray[np.floating]) -> Image:
    return np.asarray(image, dtype=np.float32)
