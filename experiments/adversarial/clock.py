"""What a row's training tells, and how long it took."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from degrain.files import write_json
from degrain.training.checkpoint import Checkpoint


class Clock:
    """Counts the seconds of a training over its resumptions; no MLflow: the table is the result.

    What was trained after the last checkpoint and lost by a kill is not counted, for it did not help.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._kept = checkpoint.folder / "seconds.json"
        known = checkpoint.path.exists() and self._kept.exists()
        self._before = float(json.loads(self._kept.read_text(encoding="utf-8"))) if known else 0.0
        self._began = time.perf_counter()
        self.tags: dict[str, str] = {}

    @property
    def seconds(self) -> float:
        """So far."""
        return self._before + time.perf_counter() - self._began

    def log_metrics(self, step: int, metrics: dict[str, float]) -> None:
        """Drop them."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Keep them; `state` is the condition that was seen last, of a training that failed, too."""
        self.tags |= tags

    def flush(self) -> None:
        """Keep the time: the training is about to write its checkpoint."""
        write_json(self._kept, self.seconds)
