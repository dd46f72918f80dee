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
    "attributes.`Description`": 205,
    "metrics.`val_psnr`": 75,
    "metrics.`val_ssim`": 75,
    "metrics.`psnr/sigma_25/adversarial`": 195,
    "metrics.`psnr/real/adversarial`": 195,
    "tags.`state`": 70,
}

# The first charts of the curves, by section; MLflow adds those of all other metrics below.
CHARTS = {
    "Quality on the validation images": ("val_psnr", "val_ssim", "megapixels_per_second"),
    "Losses": ("pixel", "adversarial", "feature_matching", "discriminator"),
    "Who wins, and what restorations are like": ("real_accuracy", "fake_accuracy", "detail", "variety"),
}
RESTORED = "Restored validation images"
PICTURES = ("flower sigma_15", "flower sigma_25", "flower sigma_50")  # those of the default params
BOTH_VALIDATE = 500  # a step at which both trainings do, by the default params


def _card(kind: str, section: str, uuid: str, **settings: object) -> dict[str, object]:
    return {
        "type": kind,
        "uuid": uuid,
        "metricSectionId": section,
        "runsCountToCompare": 10,
        "deleted": False,
        "isGenerated": False,
        **settings,
    }


def _line(section: str, metric: str) -> dict[str, object]:
    return _card(
        "LINE",
        section,
        metric,
        metricKey=metric,
        selectedMetricKeys=[metric],
        displayName=metric,
        lineSmoothness=0,
        xAxisKey="step",
        xAxisScaleType="linear",
        scaleType="linear",
        yAxisKey="metric",
        selectedXAxisMetricKey="",
        yAxisExpressions=[],
        range={},
        ignoreOutliers=False,
        useGlobalXaxisKey=True,
        useGlobalLineSmoothing=True,
    )


def _section(name: str) -> dict[str, object]:
    return {
        "uuid": name,
        "name": name,
        "display": True,
        "isReordered": True,
        "deleted": False,
        "isGenerated": False,
    }


def _picture(key: str) -> dict[str, object]:
    """Without the parameters of the run, which would hide it."""
    return _card("IMAGE", RESTORED, key, imageKeys=[key], step=BOTH_VALIDATE, showRunParams=False)


def _state() -> dict[str, object]:
    """What the page keeps of its table and charts."""
    lines = [_line(section, metric) for section, metrics in CHARTS.items() for metric in metrics]
    return {
        "selectedColumns": [*COLUMNS],
        "columnOrder": ["duration", *COLUMNS],
        "columnWidths": COLUMNS,
        "compareRunCharts": [*map(_picture, PICTURES), *lines],
        "compareRunSections": [_section(name) for name in (RESTORED, *CHARTS)],
        "isAccordionReordered": True,
    }


SAVED_VIEW = json.dumps({"name": "degrain", "createdAt": 0, "updatedAt": 0, "state": json.dumps(_state())})


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
