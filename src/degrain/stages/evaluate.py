"""Stage evaluate: both generators against the classical filters on the test set."""

from pathlib import Path

from degrain.compute import start_engine
from degrain.data.noisy import NoisySet
from degrain.evaluation import dial, report
from degrain.evaluation.measure import measure, warm_up
from degrain.evaluation.methods import methods_by_level
from degrain.files import sha256_file
from degrain.params import Params
from degrain.restore import Restorer
from degrain.stages._main import run
from degrain.tracking import evaluation_run

PRETRAINED, ADVERSARIAL = (Path(f"models/{stage}/generator.safetensors") for stage in ("pretrain", "train"))
RESTORED, REPORTS = Path("data/restored"), Path("reports")


def main(params: Params) -> None:
    """Measure, write, draw, log."""
    engine, val, test = start_engine(params.compute), NoisySet("val"), NoisySet("test")
    weights = {"pretrained": PRETRAINED, "adversarial": ADVERSARIAL}
    networks = {name: Restorer.load(path, engine) for name, path in weights.items()}
    warm_up(networks.values(), test)
    results = measure(test, methods_by_level(val, networks), RESTORED)
    summary = report.write_results(results, REPORTS, test)
    measured = {"model": sha256_file(ADVERSARIAL), "test": report.identify_test_set(test.rows)}
    report.write_speeds(REPORTS, results, engine, params.compute.threads, measured)
    report.draw_pictures(test, summary, RESTORED, REPORTS / "pictures", zoom_px=params.evaluate.zoom_px)
    curve = dial.dial_curve(test, dial.between(PRETRAINED, ADVERSARIAL, engine), RESTORED)
    dial.write_dial(curve, REPORTS)
    with evaluation_run(params, ADVERSARIAL, pretrained=PRETRAINED) as log:
        report.log_results(log, results, summary, REPORTS)
        dial.log_dial(log, curve, REPORTS)


if __name__ == "__main__":
    run(main)
