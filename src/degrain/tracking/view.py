"""How MLflow's pages show the runs: what an experiment says of itself, and the columns of its table."""

from __future__ import annotations

import json
from collections.abc import Mapping

from degrain.params import Params

NOTE = "mlflow.note.content"  # the description of an experiment or a run, in Markdown
VIEW = (
    "mlflow.sharedViewState.degrain"  # in the menu "Views"; `make ui` opens it by the last part of its name
)

ABOUT = """**`dvc repro` leaves three runs: pretrain, train, and evaluate, below the training it measured.**

- pretrain: the generator alone, on a pixel loss.
- train: generator against discriminator, on from the pretrained one. It has the model.
- evaluate: both generators and the classical filters on the test set; `results.json` has every image.

`model.sha256` and `pretrained.sha256` tie them together, `data.sha256` and `git.commit` to data and code.
"""


# Of the table of runs, and their widths in pixels; one that no run has is not shown.
COLUMNS = {
    "attributes.`Description`": 280,
    "metrics.`val_psnr`": 80,
    "metrics.`val_ssim`": 80,
    "metrics.`psnr/sigma_25/adversarial`": 185,
    "metrics.`psnr/real/adversarial`": 185,
    "tags.`state`": 70,
}
STATE = {"selectedColumns": [*COLUMNS], "columnOrder": ["duration", *COLUMNS], "columnWidths": COLUMNS}
SAVED_VIEW = json.dumps({"name": "degrain", "createdAt": 0, "updatedAt": 0, "state": json.dumps(STATE)})


def note(stage: str, params: Params) -> str:
    """What a run did, in a line."""
    train, test = ", ".join(params.data.train), ", ".join(params.data.test)
    generator, noise = params.model.generator, f"noise: {params.noise.kind}"
    match stage:
        case "pretrain":
            how = f"{params.pretrain.steps} steps of {generator} on {params.pretrain.loss}"
            return f"{how}; {noise}; {train}"
        case "train":
            against = params.train.discriminator.kind, params.train.adversarial.loss
            return f"{params.train.steps} steps of {generator} against {', '.join(against)}; {noise}; {train}"
        case _:
            return f"both generators and the filters on {test}; {noise}"


def missing_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """What an experiment with these tags lacks: the view as it is now, and a description if it has none."""
    view = {} if tags.get(VIEW) == SAVED_VIEW else {VIEW: SAVED_VIEW}
    return view if NOTE in tags else {NOTE: ABOUT, **view}
