"""Stage evaluate: both generators against the classical filters on the test set."""

from pathlib import Path

from degrain.compute import start_engine
from degrain.data.noisy import NoisySet
from degrain.evaluation.measure import measure, warm_up
from degrain.evaluation.methods import methods_by_level
from degrain.evaluation.report import draw_pictures, flat_metrics, write_results, write_speeds
from degrain.files import sha256_file
from degrain.params import Params
from degrain.restore import Restorer
from degrain.stages._main import run
from degrain.tracking import evaluation_run

WEIGHTS = {name: Path(f"models/{name}/generator.safetensors") for name in ("pretrain", "train")}
RESTORED, REPORTS = Path("data/restored"), Path("reports")


def main(params: Params) -> None:
    """Measure, write, draw, log."""
    engine, val, test = start_engine(params.compute), NoisySet("val"), NoisySet("test")
    networks = {
        "pretrained": Restorer.load(WEIGHTS["pretrain"], engine),
        "adversarial": Restorer.load(WEIGHTS["train"], engine),
    }
    warm_up(networks.values(), test)
    results = measure(test, methods_by_level(val, networks), RESTORED)
    summary = write_results(results, REPORTS, bm3d=REPORTS / "bm3d.json", test=test)
    pictures = draw_pictures(test, summary, RESTORED, REPORTS / "pictures", zoom_px=params.evaluate.zoom_px)
    write_speeds(
        REPORTS / "speed.json", results, engine, params.compute.threads, sha256_file(WEIGHTS["train"])
    )
    with evaluation_run(params, WEIGHTS["train"], pretrained=WEIGHTS["pretrain"]) as log:
        log.log_metrics(0, flat_metrics(summary))
        log.log_table("results", results)
        for path in (REPORTS / "table.md", REPORTS / "metrics.json", *pictures.values()):
            log.log_artifact(path)


if __name__ == "__main__":
    run(main)
