"""Stage semi_supervised: classifiers with a few labels, alone and with images that have none."""

from itertools import product

import pandas as pd

from degrain.compute import start_engine
from degrain.files import write_csv, write_json
from degrain.generation.accuracy_report import accuracy_summary, accuracy_table, draw_accuracy
from degrain.generation.classifier import accuracy
from degrain.generation.labelled import read_set
from degrain.generation.loop import train
from degrain.generation.paths import DATA, MODELS, REPORTS
from degrain.generation.semi_supervised import METHODS, draw_few, start_semi_supervised
from degrain.generation.stage import Suffixed, checkpoint_of, told
from degrain.generation.weights import save_network
from degrain.generation_params import GenerationParams, load_generation_params
from degrain.stages._main import run_on
from degrain.tracking import experiment_run
from degrain.training.curve import write_curve
from degrain.training.descend import Stats
from degrain.training.state import TrainState


def main(params: GenerationParams) -> None:
    """Train every method on every draw, write, draw."""
    settings, engine = params.semi_supervised, start_engine(params.compute)
    (images, test), checkpoint, curve = read_set(DATA), checkpoint_of("semi_supervised", params), []

    def look(state: TrainState) -> Stats:
        return {"accuracy": accuracy(state.ema.network, test, engine)}

    note = f"{settings.labels_per_class} labels a class, {settings.draws} draws"
    with experiment_run(told("semi_supervised", params, note), checkpoint.folder) as log:
        for draw, method in product(range(1, settings.draws + 1), METHODS):
            few = draw_few(images, settings, draw=draw, seed=params.seed)
            state, course = start_semi_supervised(method, few, settings, engine, seed=params.seed, look=look)
            name = f"draw-{draw}-{method.replace(' ', '-')}"
            named = Suffixed(log, f"{method} {draw}")
            train(state, course, checkpoint=checkpoint.beside(f"{name}.pt"), log=named)
            save_network(MODELS / f"semi_supervised/{name}.safetensors", state.ema.network, settings)
            curve += [{"draw": draw, "method": method, **row} for row in state.curve]
        write_curve(REPORTS / "semi_supervised_curve.csv", curve)
        table = accuracy_table(pd.DataFrame(curve))
        write_csv(REPORTS / "semi_supervised.csv", table.round(4))
        write_json(REPORTS / "semi_supervised.json", accuracy_summary(table, settings.labels_per_class))
        draw_accuracy(REPORTS / "semi_supervised.png", pd.DataFrame(curve), table)
        log.log_table("accuracy", table)
        log.log_artifact(REPORTS / "semi_supervised.png")
        checkpoint.finish()
    print(table.round(4).to_string(index=False))


if __name__ == "__main__":
    run_on(load_generation_params, main)
