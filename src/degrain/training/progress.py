"""The line that says how a training goes."""

from __future__ import annotations

import time

from tqdm import tqdm

from degrain.training.descend import Stats
from degrain.training_params import Optimisation

NOT_LOSSES = (
    *(
        "_norm",
        "_logit",
        "lr",
        "_accuracy",
        "told_apart",
        "_gap",
        "_ratio",
        "_db",
        "detail",
        "variety",
        "diversity",
    ),
)


class Progress:
    """One line: step, rate, losses, what validation said, time left."""

    def __init__(self, name: str, settings: Optimisation, start: int) -> None:
        self._bar = tqdm(total=settings.steps, initial=start, desc=name, unit="step", smoothing=0.05)
        self._pixels = settings.batch_size * settings.patch_size**2
        self._steps, self._began = 0, time.monotonic()  # the bar counts nothing where TQDM_DISABLE is set
        self._validated = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    @property
    def rate(self) -> float:
        """Megapixels a second so far in this process, validation included."""
        seconds = time.monotonic() - self._began
        return self._steps * self._pixels / 1e6 / max(seconds, 1e-9)

    def advance(self, stats: Stats) -> None:
        """Count one step."""
        losses = " ".join(f"{term} {value:.4f}" for term, value in stats.items() if _is_loss(term))
        self._steps += 1
        self._bar.set_postfix_str(f"{self.rate:.3f} Mpx/s, {losses}{self._validated}", refresh=False)
        self._bar.update()

    def show(self, figures: Stats) -> None:
        """Keep the last validation in sight."""
        self._validated = f", validation {figures['val_psnr']:.2f} dB"


def _is_loss(term: str) -> bool:
    return not term.endswith(NOT_LOSSES)
