"""Stage evaluate: how far generated images are from real ones, in the features of the classifier."""

from safetensors.torch import save

from degrain.compute import start_engine
from degrain.files import write_bytes, write_csv, write_json
from degrain.generation.comparison import as_many, class_shares, frechet_table, summary
from degrain.generation.labelled import read_real
from degrain.generation.making import make_images, noise_vectors
from degrain.generation.paths import CLASSIFIER, DATA, GENERATED, GENERATOR, REPORTS
from degrain.generation.stage import told
from degrain.generation.weights import load_network
from degrain.generation_params import GenerationParams, load_generation_params
from degrain.stages._main import run_on
from degrain.tracking import experiment_run


def main(params: GenerationParams) -> None:
    """Generate, compare, write."""
    settings, engine, seed = params.evaluate, start_engine(params.compute), params.seed
    real, judge = read_real(DATA, params.classifier.held_out), load_network(CLASSIFIER, engine)
    generator = load_network(GENERATOR, engine)
    count = as_many(real, settings.images)
    generated = make_images(generator, noise_vectors(count, generator, seed, "evaluate"), engine)
    write_bytes(GENERATED, save({"images": generated}))
    table = frechet_table(judge, real, generated, settings, engine, seed=seed)
    write_csv(REPORTS / "frechet.csv", table)
    sides = {"test": real.test.images, "generated": generated}
    shares = {name: class_shares(judge, each, real.seen.classes, engine) for name, each in sides.items()}
    figures = summary(table, shares, count)
    write_json(REPORTS / "dcgan.json", figures)
    note = f"{count} generated images"
    with experiment_run(told("evaluate", params, note), model=GENERATOR) as log:
        log.log_metrics(0, {f"frechet/{name}": value for name, value in figures["frechet_distance"].items()})
        log.log_table("frechet", table)
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    run_on(load_generation_params, main)
