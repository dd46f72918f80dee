"""Stage synthesize: training patches, fixed noisy sets and their features, a contact sheet."""

from pathlib import Path

from degrain.build.degrader import Degrader
from degrain.build.level_estimate import level_estimate
from degrain.data.pairs import make_pair_patches, make_pair_sets
from degrain.data.synthesis import draw_contact_sheet, make_noisy_sets, make_patches
from degrain.drift.table import describe_noisy_sets, write_table
from degrain.params import Params
from degrain.stages._main import run

RAW, PATCHES, NOISY = Path("data/raw"), Path("data/patches"), Path("data/noisy")
SHEET, REFERENCE = Path("reports/contact_sheet.png"), Path("reports/reference.csv")


def main(params: Params) -> None:
    """Cut, add noise or take the real one, draw, measure."""
    cut = make_pair_patches if params.noise.kind == "pairs" else make_patches
    count = cut(RAW, PATCHES, params.patches)
    if params.noise.tests_on_pairs:
        make_pair_sets(RAW, NOISY, level_estimate(params.noise))
    else:
        degrader = Degrader(params.noise)
        make_noisy_sets(RAW, NOISY, degrader.test_levels(), degrader.at, seed=params.seed)
    draw_contact_sheet(RAW, NOISY, SHEET)
    write_table(REFERENCE, describe_noisy_sets(NOISY))
    print(f"{count} training patches of {params.patches.side_px} px; see {SHEET}")


if __name__ == "__main__":
    run(main)
