"""Stage sources: list what data.train, data.val and data.test name, and the generator of learned noise.

DVC runs this at every `dvc repro`: so a file added to or changed in a folder re-runs the rest.
"""

from pathlib import Path

from degrain.data.sources import list_sources, write_learned_noise, write_sources
from degrain.params import Params
from degrain.stages._main import run


def main(params: Params) -> None:
    """List, hash, write."""
    write_sources(Path("data/sources.csv"), list_sources(params.data.sets(), params.data.channels))
    write_learned_noise(Path("data/learned_noise.json"), params.noise.learned_generator)


if __name__ == "__main__":
    run(main)
