"""The figures of all stages as one page."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd


def results_page(reports: Path) -> str:
    """Markdown, out of the files that the stages have written."""
    return "\n".join([*_generation(reports), *_semi_supervised(reports)])


def _generation(reports: Path) -> Iterator[str]:
    accuracy = _read(reports / "classifier.json")["test_accuracy"]
    dcgan = _read(reports / "dcgan.json")
    shares = dcgan["rarest_class"]
    yield from ("# Images from noise", "", "![generated images](dcgan.png)", "")
    yield _wrapped(
        f"Frechet distance from the test images, in the features of a classifier of this very set (accuracy "
        f"{accuracy:.1%}), {dcgan['images']:,} images each. It is no FID: that takes the features of another "
        "network, and the figures of both cannot be compared."
    )
    yield ""
    table = pd.read_csv(reports / "frechet.csv").sort_values("frechet_distance", kind="stable")
    columns = (table[name].tolist() for name in ("images", "frechet_distance", "times_floor"))
    rows = [(name, f"{distance:.4g}", f"{times:.3g}") for name, distance, times in zip(*columns, strict=True)]
    yield from _table(("images", "Frechet distance", "times the floor"), rows)
    yield ""
    yield _wrapped(
        f"The rarest class, as the classifier sees it, has {shares['generated']:.1%} of the generated images "
        f"and {shares['test']:.1%} of the test images."
    )
    yield from (
        "",
        "![the same noise vectors over the steps](dcgan_course.png)",
        "",
    )


def _semi_supervised(reports: Path) -> Iterator[str]:
    summary, table = _read(reports / "semi_supervised.json"), pd.read_csv(reports / "semi_supervised.csv")
    yield from ("# A few labels", "")
    yield _wrapped(
        f"Accuracy on the test images of one network, trained for as many steps on the same "
        f"{summary['labels_per_class']} labels a class: on these alone, and as the discriminator of all "
        "training images, whose labels it does not see. The gain is in percentage points."
    )
    yield ""
    rows = [
        [str(draw), *(_percent(value) for value in accuracies), _percent(gain).replace("%", "")]
        for draw, *accuracies, gain in table.itertuples(index=False)
    ]
    yield from _table(tuple(map(str, table.columns)), rows)
    yield from ("", "![accuracy over the steps](semi_supervised.png)", "")


def _percent(share: float) -> str:
    return "" if math.isnan(share) else f"{share:.2%}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 120, break_on_hyphens=False)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|---|{'---:|' * (len(head) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _read(path: Path) -> dict:  # type: ignore[type-arg]
    values: dict = json.loads(path.read_text(encoding="utf-8"))  # type: ignore[type-arg]
    return values
