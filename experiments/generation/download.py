"""Stage download: the labelled images, verified."""

from degrain.generation.fetching import collect_labelled
from degrain.generation.paths import DATA
from degrain.generation_params import GenerationParams, load_generation_params
from degrain.stages._main import run_on


def main(params: GenerationParams) -> None:
    """Fetch, check, say what they are."""
    print(collect_labelled(params.data, DATA))


if __name__ == "__main__":
    run_on(load_generation_params, main)
