"""Stage download: fetch and verify the images that were listed, convert them to 8-bit PNG, check them."""

from pathlib import Path

from degrain.data.checks import check_images
from degrain.data.collect import collect
from degrain.data.fetch import fetch, find_mirror
from degrain.data.sources import files_to_fetch, read_sources
from degrain.params import Params
from degrain.stages._main import run
from degrain.standard_sets import STANDARD_SETS


def main(params: Params) -> None:
    """Fetch, collect, say how many and on what terms, and refuse what would poison the model."""
    sources, data = read_sources(Path("data/sources.csv")), params.data
    fetched = fetch(files_to_fetch(sources), mirror=find_mirror(data.mirror))
    print(
        collect(
            sources,
            Path("data/raw"),
            channels=data.channels,
            min_side=data.min_side,
            register_pairs=data.register_pairs,
            fetched=fetched,
        )
    )
    for name in dict.fromkeys(source.set for source in sources if source.set in STANDARD_SETS):
        print(f"{name}: {STANDARD_SETS[name].licence}")
    print(check_images(Path("data/raw"), Path("data/checks"), sources, data.checks))


if __name__ == "__main__":
    run(main)
