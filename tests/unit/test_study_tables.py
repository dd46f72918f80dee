"""Tables and figures of the study of adversarial training."""

from __future__ import annotations

import statistics
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from degrain.errors import DegrainError
from degrain.files import read_rows
from experiments.adversarial.arms import HERE, load_plans
from experiments.adversarial.figures import spaced
from experiments.adversarial.tables import (
    NONE_YET,
    TABLES,
    block,
    results_table,
    unattended_table,
    write_into,
)
from support import ROOT

PAGE = ROOT / "docs/adversarial.md"
FILES = {"results": "study", "unattended": "unattended"}


def plans(table):
    return load_plans(HERE / f"{FILES[table]}.yaml", {}, top=ROOT)


@pytest.mark.parametrize("table", FILES)
def test_the_page_has_the_table_that_the_rows_give(table):
    path = ROOT / f"reports/adversarial/{table}.csv"
    rows = read_rows(path) if path.exists() else []
    found = block(table).search(PAGE.read_text(encoding="utf-8"))
    assert found
    assert found[2] == TABLES[table](rows, plans(table).study)


def row(arm, seed, psnr="29.1", state="healthy"):
    figures = {"psnr": psnr, "ssim": "0.8", "feature_distance": "0.3", "frechet_distance": "20"}
    return {
        **{"arm": arm, "loss": arm, "stabilisers": "", "seed": str(seed), "steps": "900", "seconds": "120.4"},
        **{name: value if psnr else "" for name, value in figures.items()},
        "two_sample_accuracy": "",
        "state": state,
    }


def test_cells_are_means_and_deviations_over_the_seeds():
    psnr = [29.0, 29.1, 29.5]
    rows = [row("hinge", seed, str(value)) for seed, value in enumerate(psnr)]
    line = results_table(rows, plans("results").study).splitlines()[-1]
    spread = f"{statistics.mean(psnr):.3f} ± {statistics.stdev(psnr):.3f}"
    same = "0.8000 ± 0.0000 | 0.3000 ± 0.0000 | 20.0 ± 0.0"
    assert line == f"| hinge | 900 | 120 | {spread} | {same} |  | 0 of 3 | healthy |"


def test_failures_are_counted_out_of_all_runs_and_have_no_part_in_the_means():
    rows = [
        row("hinge", 0),
        row("hinge", 1, "", "diverged, 3 rescues"),
        row("hinge", 2, "29.3", "discriminator wins"),
    ]
    line = results_table(rows, plans("results").study).splitlines()[-1]
    assert "| 29.200 ± 0.141 |" in line
    assert line.endswith("| 1 of 3 | 1 healthy; 1 diverged, 3 rescues; 1 discriminator wins |")


def test_a_single_seed_has_no_deviation_and_skipped_rows_no_figures():
    skipped = row("perceptual", 0, "", "skipped: needs the extra perceptual") | {"steps": "0"}
    text = results_table([row("hinge", 0), skipped], plans("results").study)
    hinge, perceptual = (
        next(line for line in text.splitlines() if name in line) for name in ("hinge", "+ 1.5")
    )
    assert "| 29.100 |" in hinge
    assert perceptual == "| + 1.5 perceptual |  |  |  |  |  |  |  |  | skipped: needs the extra perceptual |"


def test_unattended_counts_what_passed():
    runs = [
        {"loss": "hinge", "seed": str(seed), "steps": "1000", "seconds": "40", "rescues": rescues,
         "state": state, "psnr": psnr, "start_psnr": "29.2", "frechet_distance": distance,
         "start_frechet_distance": "40", "passed": passed}
        for seed, (rescues, state, psnr, distance, passed) in enumerate([
            ("0", "healthy", "29.0", "30", "true"),
            ("1", "healthy, 1 rescue", "28.4", "20", "false"),
            ("3", "collapse, 3 rescues", "", "", "false"),
        ])
    ]  # fmt: skip
    line = unattended_table(runs, plans("unattended").study).splitlines()[-1]
    assert line == (
        "| hinge | 3 | 1 | 1 | 4 | 1000 | 40 | 28.700 ± 0.424 | -0.500 ± 0.424 | -0.800 | 25.0 ± 7.1 | 40.0 |"
    )


def test_without_rows_the_tables_say_so():
    assert results_table([], plans("results").study) == NONE_YET
    assert unattended_table([], plans("unattended").study) == NONE_YET


def test_a_page_without_a_place_is_refused(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(DegrainError, match=r"expected <!-- results: \.\.\. --> and <!-- /results -->"):
        write_into(page, "results", "")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12).map(sorted), st.floats(0.01, 0.1))
def test_labels_are_spaced_in_order_around_where_they_belong(heights, gap):
    moved = spaced(heights, gap)
    assert len(moved) == len(heights)
    assert all(after - before >= gap - 1e-9 for before, after in pairwise(moved))
    assert sum(moved) == pytest.approx(sum(heights))
    if all(after - before >= gap for before, after in pairwise(heights)):
        assert moved == pytest.approx(heights)
