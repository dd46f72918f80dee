"""Stage download: collect the images that were listed, check them, convert them to 8-bit PNG."""

from pathlib import Path

from degrain.data.collect import collect
from degrain.data.sources import read_sources
from degrain.params import Params
from degrain.stages._main import run


def main(params: Params) -> None:
    """Collect, and say how many."""
    sources = read_sources(Path("data/sources.csv"))
    data = params.data
    print(collect(sources, Path("data/raw"), channels=data.channels, min_side=data.min_side))


if __name__ == "__main__":
    run(main)
