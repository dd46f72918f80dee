"""The images of a study, made by the pipeline's own stages in the working folder."""

from __future__ import annotations

from pathlib import Path

from degrain.errors import DegrainError
from degrain.files import write_text
from degrain.stages import download, sources, synthesize
from experiments.adversarial.arms import Plans
from experiments.adversarial.keys import data_key

DONE = Path("data/made_for.txt")


def prepare(plans: Plans) -> None:
    """List, fetch, check and cut the images, and make the noisy sets, unless that has been done.

    Raises
    ------
    DegrainError : arms that differ in their data.
    """
    rows = plans.rows()
    params = plans.params(rows[0])
    key = data_key(params)
    for row in rows:
        if data_key(plans.params(row)) != key:
            msg = f"{plans.name}: {row.name}: expected data, noise and patches as in `base`; set them there"
            raise DegrainError(msg)
    if DONE.is_file() and DONE.read_text(encoding="utf-8") == key:
        return
    DONE.unlink(missing_ok=True)
    DONE.parent.mkdir(exist_ok=True)
    for stage in (sources, download, synthesize):
        stage.main(params)
    write_text(DONE, key)
