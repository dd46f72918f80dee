"""The file that MLflow runs to load a logged generator; it is stored beside the weights.

model = mlflow.pyfunc.load_model("runs:/<run id>/generator")
restored = model.predict(noisy)                          # noisy: float32 (B, H, W, C) in [0, 1]
restored = model.predict(noisy, params={"sigma_255": 25})
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from degrain.compute import start_engine
from degrain.params import Compute
from degrain.restore import Restorer


class GeneratorModel(PythonModel):
    """A trained generator behind MLflow's interface."""

    def load_context(self, context: Any) -> None:
        """Build the network from the safetensors file, on the best device there is."""
        compute = Compute(device="auto", precision="auto", threads=torch.get_num_threads())
        self.restore = Restorer.load(Path(context.artifacts["weights"]), start_engine(compute))

    def predict(
        self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None
    ) -> np.ndarray:
        """Restore images of any size, grey or colour.

        Parameters
        ----------
        model_input : float32 (B, H, W, C) in [0, 1], C 1 or 3.
        params : sigma_255, the noise's standard deviation in units of 255; below 0 it is estimated,
            for each image on its own.

        Returns
        -------
        float32 (B, H, W, C), not clipped.
        """
        sigma_255 = float((params or {}).get("sigma_255", -1.0))
        sigma = None if sigma_255 < 0 else sigma_255 / 255
        return np.stack(self.restore.restore_all(list(model_input), sigma))


# How MLflow is handed the model of a file that it runs.
set_model(GeneratorModel())
