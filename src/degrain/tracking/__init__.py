"""What MLflow is told: a view of the training, never the source of truth.

Stages write their files first and log them here afterwards. Nothing in this package stops a stage:
while the store is away, what it should get waits, and after one warning the training goes on.
"""

from degrain.tracking.experiment import Told, experiment_run
from degrain.tracking.links import RunLink, runs_of_model
from degrain.tracking.run import Run
from degrain.tracking.start import evaluation_run, training_run

__all__ = ["Run", "RunLink", "Told", "evaluation_run", "experiment_run", "runs_of_model", "training_run"]
