"""Stage results: the figures of all stages as one page."""

from degrain.files import write_text
from degrain.generation.paths import REPORTS
from degrain.generation.results import results_page
from degrain.generation_params import GenerationParams, load_generation_params
from degrain.stages._main import run_on


def main(params: GenerationParams) -> None:
    """Write and print."""
    del params
    page = results_page(REPORTS)
    write_text(REPORTS / "results.md", page)
    print(page)


if __name__ == "__main__":
    run_on(load_generation_params, main)
