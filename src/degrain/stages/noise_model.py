"""Stage noise_model: noise learned from the noisy training images alone."""

from pathlib import Path

from degrain.build.learned_noise import save_block_noise, smooth_rule
from degrain.compute import start_engine
from degrain.data.noise_blocks import collect_blocks
from degrain.evaluation.noise_check import compare, draw_blocks
from degrain.files import write_json
from degrain.params import Params
from degrain.stages._main import run
from degrain.training.checkpoint import Checkpoint, stage_key
from degrain.training.noise_model import learn_noise, make_blocks

RAW, REPORTS = Path("data/raw"), Path("reports")
GENERATOR = Path("models/noise/generator.safetensors")
COMPARED = 1000  # blocks: more would tell apart what no use of the noise does


def main(params: Params) -> None:
    """Collect blocks, learn, compare with blocks of the validation photographs, draw."""
    settings, engine = params.noise_model, start_engine(params.compute)
    checkpoint = Checkpoint("noise_model", stage_key("noise_model", params))
    rule, most = smooth_rule(settings.blocks), settings.blocks.per_image
    blocks = collect_blocks(RAW, rule, most_per_image=most)
    shown = collect_blocks(RAW, rule, most_per_image=most, split="val").spread(COMPARED)
    network = learn_noise(blocks, settings, engine, seed=params.seed, checkpoint=checkpoint)
    save_block_noise(GENERATOR, network, settings)
    made = make_blocks(network, shown, engine, seed=params.seed)
    write_json(REPORTS / "noise_model.json", compare(shown.noise, made, shown.brightness.mean(1)))
    draw_blocks(shown.noise, made, REPORTS / "noise_model.png")
    checkpoint.finish()
    print(f"noise learned from {len(blocks)} blocks; see {REPORTS / 'noise_model.png'}")


if __name__ == "__main__":
    run(main)
