"""What a run can be told."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
from numpy.typing import NDArray

from degrain.files import from_float, sha256_file
from degrain.tracking.entries import End, File, Generator, Picture, Point, Points, Table, Tags
from degrain.tracking.generator import Interface
from degrain.tracking.session import Outbox

if TYPE_CHECKING:
    import pandas as pd

BATCH_POINTS = 900  # MLflow takes 1000 at once
SEND_EVERY_S = 15.0


class Run:
    """A run of MLflow; `training_run` and `evaluation_run` make them.

    Metrics are collected and sent together every few seconds. Of a run that is continued after a
    kill, what it already has is left out, so that curves and pictures have no doubles.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._points: list[Point] = []
        self._sent_at_s = time.monotonic()

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add a point to each of several curves."""
        now_ms = _now_ms()
        self._points += [Point(name, float(value), now_ms, step) for name, value in metrics.items()]
        if len(self._points) >= BATCH_POINTS or time.monotonic() > self._sent_at_s + SEND_EVERY_S:
            self.flush()

    def log_picture(self, name: str, step: int, image: NDArray[np.float32]) -> None:
        """Show an image (H, W, C) in [0, 1] in the picture panel, which has a slider for steps."""
        key = re.sub(r"[^A-Za-z0-9_. -]", "_", name)  # MLflow takes no others
        pixels = from_float(np.nan_to_num(image), np.dtype(np.uint8))
        self._outbox.put(Picture(key, step, pixels))

    def log_table(self, name: str, frame: pd.DataFrame) -> None:
        """Keep a table that the run's page shows, to be sorted and filtered there."""
        self._outbox.put(Table(name, frame))

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Keep a file with the run, in a folder of its artifacts."""
        self._outbox.put(File(path, folder))

    def log_generator(self, weights: Path, faithful: Path | None = None) -> None:
        """Log a generator as models that MLflow can load and serve, and tag the run with its hash.

        `generator` takes arrays, `service` takes image files as base64.

        Parameters
        ----------
        weights : the finished safetensors file, as `degrain.build.generator.save_generator` writes it.
        faithful : the one that the training started from, if it did, for the models' dial.
        """
        self.set_tags({"model.sha256": sha256_file(weights)})
        for interface in get_args(Interface):
            self._outbox.put(Generator(interface, weights, faithful))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Tag the run."""
        self._outbox.put(Tags(dict(tags)))

    def close(self, status: str) -> None:
        """Send what is left and end the run as FINISHED, FAILED or KILLED."""
        self.flush()
        self._outbox.put(End(status, _now_ms()), is_last=True)

    def flush(self) -> None:
        """Send the points collected so far."""
        self._sent_at_s = time.monotonic()
        for start in range(0, len(self._points), BATCH_POINTS):
            self._outbox.put(Points(self._points[start : start + BATCH_POINTS]))
        self._points = []


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
