"""Stage classifier: learns the set, for its features."""

from degrain.compute import start_engine
from degrain.files import sha256_file, write_json
from degrain.generation.classifier import accuracy, start_classifier
from degrain.generation.labelled import read_real
from degrain.generation.loop import train
from degrain.generation.paths import CLASSIFIER, DATA, REPORTS
from degrain.generation.stage import checkpoint_of, told
from degrain.generation.weights import save_network
from degrain.generation_params import GenerationParams, load_generation_params
from degrain.stages._main import run_on
from degrain.tracking import experiment_run
from degrain.training.curve import write_curve


def main(params: GenerationParams) -> None:
    """Train, write, measure."""
    settings, engine = params.classifier, start_engine(params.compute)
    real, checkpoint = read_real(DATA, settings.held_out), checkpoint_of("classifier", params)
    note = f"{settings.steps} steps on {len(real.seen)} labelled images"
    with experiment_run(told("classifier", params, note), checkpoint.folder) as log:
        state, course = start_classifier(real.seen, real.unseen, settings, engine, seed=params.seed)
        train(state, course, checkpoint=checkpoint, log=log)
        save_network(CLASSIFIER, state.ema.network, settings, set=params.data.set)
        write_curve(REPORTS / "classifier.csv", state.curve)
        right = accuracy(state.ema.network, real.test, engine)
        write_json(REPORTS / "classifier.json", {"test_accuracy": round(right, 4)})
        log.set_tags({"model.sha256": sha256_file(CLASSIFIER)})
        log.log_metrics(state.step, {"test_accuracy": right})
        log.log_artifact(CLASSIFIER)
        checkpoint.finish()
    print(f"accuracy on the test images: {right:.2%}")


if __name__ == "__main__":
    run_on(load_generation_params, main)
