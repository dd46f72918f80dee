"""Results, tables, speeds and pictures of the evaluation."""

from __future__ import annotations

import json
import time

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_laplace

from degrain.compute import Engine
from degrain.data.noisy import NoisySet
from degrain.data.synthesis import make_noisy_sets
from degrain.errors import DegrainError
from degrain.evaluation.measure import COLUMNS, measure, warm_up
from degrain.evaluation.methods import methods_by_level
from degrain.evaluation.pictures import draw_comparison, liveliest, restored_image
from degrain.evaluation.report import (
    draw_pictures,
    identify_test_set,
    log_results,
    read_bm3d,
    write_results,
    write_speeds,
)
from degrain.evaluation.tables import (
    best_filter,
    markdown_table,
    result_table,
    speeds,
    summarise,
    with_speeds,
)
from degrain.files import read_image, write_image, write_json
from degrain.metrics import psnr, ssim, to_8_bit

CPU = Engine(torch.device("cpu"), torch.float32)


def results(*rows):
    return pd.DataFrame(rows, columns=COLUMNS)


RESULTS = results(
    ("a", "sigma_15", "noisy", 20.0, 0.50, 1.0, 1_000_000),
    ("b", "sigma_15", "noisy", 21.0, 0.60, 1.0, 3_000_000),
    ("a", "sigma_15", "median", 28.00004, 0.75, 4.0, 1_000_000),
    ("b", "sigma_15", "median", 29.0, 0.80, 4.0, 3_000_000),
    ("a", "sigma_15", "adversarial", 30.0, 0.70, 0.1, 1_000_000),
    ("b", "sigma_15", "adversarial", 30.5, 0.71, 0.2, 3_000_000),
    ("a", "sigma_50", "noisy", 10.0, 0.10, 1.0, 1_000_000),
    ("a", "sigma_50", "median", 22.0, 0.30, 0.0, 1_000_000),
    ("a", "sigma_50", "adversarial", 22.5, 0.40, 0.1, 1_000_000),
)
SUMMARY = {
    "noisy": {"sigma_15": {"psnr": 20.5, "ssim": 0.55}, "sigma_50": {"psnr": 10.0, "ssim": 0.1}},
    "median": {"sigma_15": {"psnr": 28.5, "ssim": 0.775}, "sigma_50": {"psnr": 22.0, "ssim": 0.3}},
    "adversarial": {"sigma_15": {"psnr": 30.25, "ssim": 0.705}, "sigma_50": {"psnr": 22.5, "ssim": 0.4}},
}
TABLE = """\
| method | sigma 15 | sigma 50 |
| --- | ---: | ---: |
| noisy | 20.50 / 0.550 | 10.00 / 0.100 |
| median | 28.50 / **0.775** | 22.00 / 0.300 |
| **degrain**, adversarial | **30.25** / 0.705 | **22.50** / **0.400** |
"""


@pytest.fixture
def sets(tmp_path, photo):
    """Noisy validation and test sets of two images each, at two levels: split to set."""
    for number, place in enumerate(("val/v", "val/w", "test/x", "test/y")):
        window = photo[8 * number : 8 * number + 32, : 40 + number]
        write_image(tmp_path / "raw" / f"{place}.png", window)

    def degrade(clean, level, *, generator):
        return clean + level / 255 * torch.randn(clean.shape, generator=generator), level / 255

    levels = [("sigma_15", 15.0), ("sigma_50", 50.0)]
    make_noisy_sets(tmp_path / "raw", tmp_path / "noisy", levels, degrade, seed=0)
    return {
        split: NoisySet(split, noisy=tmp_path / "noisy", raw=tmp_path / "raw") for split in ("val", "test")
    }


# --- tables ---


def test_summaries_are_means_over_the_images_rounded_to_4_digits():
    assert summarise(RESULTS) == SUMMARY
    assert summarise(RESULTS.sample(frac=1, random_state=1)) == SUMMARY


def test_the_table_has_the_best_of_each_level_in_bold():
    assert markdown_table(SUMMARY) == TABLE


def test_methods_that_share_the_best_figure_are_both_bold():
    tied = {name: {"s_1": {"psnr": 25.0, "ssim": 0.5}} for name in ("mean", "median")}
    assert markdown_table(tied).count("**25.00** / **0.500**") == 2


def test_rows_come_in_the_fixed_order_of_methods():
    shuffled = {name: SUMMARY[name] for name in ("adversarial", "noisy", "median")}
    assert markdown_table(shuffled) == TABLE


def test_speeds_are_pixels_over_seconds_of_all_images():
    assert speeds(RESULTS) == {"noisy": 1.67, "median": 0.625, "adversarial": 12.5}


def test_the_column_of_speeds_goes_to_the_right_rows():
    table = with_speeds(TABLE, {"adversarial": 12.5, "noisy": 1e6, "mean": 3.0})
    assert table == (
        "| method | sigma 15 | sigma 50 | Mpx/s |\n"
        "| --- | ---: | ---: | ---: |\n"
        "| noisy | 20.50 / 0.550 | 10.00 / 0.100 |  |\n"
        "| median | 28.50 / **0.775** | 22.00 / 0.300 |  |\n"
        "| **degrain**, adversarial | **30.25** / 0.705 | **22.50** / **0.400** | 12.5 |\n"
    )


def test_the_best_filter_is_none_that_was_learned_and_no_guest():
    figures = {"noisy": 40, "bm3d": 39, "pretrained": 38, "adversarial": 37, "mean": 20, "wavelet": 25}
    summary = {name: {"s_1": {"psnr": float(value), "ssim": 0.0}} for name, value in figures.items()}
    assert best_filter(summary, "s_1") == "wavelet"
    summary["mean"]["s_1"]["psnr"] = 25.5
    assert best_filter(summary, "s_1") == "mean"


# --- files ---


def bm3d_of(test, psnr_db=31.0):
    figures = {level: {"psnr": psnr_db, "ssim": 0.9} for level in ("sigma_15", "sigma_50")}
    return {
        "test_sha256": identify_test_set(test.rows),
        "methods": {"bm3d": figures},
        "mpx_per_s": {"bm3d": 0.03},
    }


def test_bm3d_joins_the_table_but_not_the_metrics(sets, tmp_path):
    write_json(tmp_path / "bm3d.json", bm3d_of(sets["test"]))
    summary = write_results(RESULTS, tmp_path, sets["test"])
    assert summary == SUMMARY
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"methods": SUMMARY}
    table = (tmp_path / "table.md").read_text()
    assert "| BM3D | **31.00** / **0.900** | **31.00** / **0.900** |" in table
    assert "| **degrain**, adversarial | 30.25 / 0.705 | 22.50 / 0.400 |" in table
    assert table.index("median") < table.index("BM3D") < table.index("degrain")


def test_bm3d_of_another_test_set_is_left_out(sets, tmp_path):
    path = tmp_path / "bm3d.json"
    nothing = {"methods": {}, "mpx_per_s": {}}
    assert read_bm3d(path, sets["test"]) == nothing
    write_json(path, bm3d_of(sets["val"]))
    assert read_bm3d(path, sets["test"]) == nothing
    assert read_bm3d(path, sets["val"])["methods"].keys() == {"bm3d"}
    write_results(RESULTS, tmp_path, sets["test"])
    assert (tmp_path / "table.md").read_text() == TABLE


def test_the_hash_of_a_test_set_knows_its_noisy_images_and_no_order(sets):
    first = identify_test_set(sets["test"].rows)
    sets["test"].rows = sets["test"].rows.iloc[::-1]
    assert identify_test_set(sets["test"].rows) == first
    sets["test"].rows = sets["test"].rows.iloc[1:]
    assert identify_test_set(sets["test"].rows) != first


def test_results_are_written_without_what_changes_from_run_to_run(sets, tmp_path):
    slower = RESULTS.assign(seconds=RESULTS["seconds"] * 3)
    for folder, table in (("one", RESULTS), ("two", slower)):
        write_results(table, tmp_path / folder, sets["test"])
    for name in ("results.csv", "metrics.json", "table.md"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    written = pd.read_csv(tmp_path / "one" / "results.csv")
    assert list(written) == ["name", "level", "method", "psnr", "ssim"]
    assert written["psnr"].tolist()[2] == 28.0  # 4 digits


def test_speeds_are_kept_for_the_same_setting_and_replaced_for_another(tmp_path):
    path = tmp_path / "speed.json"
    slower = RESULTS.assign(seconds=RESULTS["seconds"] * 2)
    write_speeds(tmp_path, RESULTS, CPU, 2, {"model": "a"})
    first = path.read_bytes()
    assert json.loads(first)["mpx_per_s"] == speeds(RESULTS)
    write_speeds(tmp_path, slower, CPU, 2, {"model": "a"})
    assert path.read_bytes() == first
    others = [
        (CPU, 2, {"model": "b"}),
        (CPU, 1, {"model": "a"}),
        (Engine(CPU.device, torch.bfloat16), 2, {"model": "a"}),
    ]
    for setting in others:
        path.write_bytes(first)
        write_speeds(tmp_path, slower, *setting)
        assert json.loads(path.read_text())["mpx_per_s"] == speeds(slower)


def test_the_printed_table_has_the_speeds_of_all_that_was_measured(sets, tmp_path):
    write_json(tmp_path / "bm3d.json", bm3d_of(sets["test"]))
    write_results(RESULTS, tmp_path, sets["test"])
    write_speeds(tmp_path, RESULTS, CPU, 2, {"model": "a"})
    lines = {line.split(" | ")[0]: line for line in result_table(tmp_path).splitlines()}
    assert lines["| BM3D"].endswith("| 0.03 |")
    assert lines["| median"].endswith("| 0.625 |")
    assert lines["| **degrain**, adversarial"].endswith("| 12.5 |")


def test_without_results_the_table_says_what_to_do(tmp_path):
    with pytest.raises(DegrainError, match=r"table\.md: no results yet; run `make repro`"):
        result_table(tmp_path)


class Log:
    """Keeps what it is given, and asks for files that are there."""

    def __init__(self):
        self.metrics, self.tables, self.files = {}, {}, []

    def log_metrics(self, step, metrics):
        self.metrics[step] = metrics

    def log_table(self, name, table):
        self.tables[name] = table

    def log_artifact(self, path):
        assert path.is_file()
        self.files.append(path.name)


def test_all_of_an_evaluation_is_logged(sets, photo, tmp_path):
    summary = write_results(RESULTS, tmp_path, sets["test"])
    write_speeds(tmp_path, RESULTS, CPU, 2, {"model": "a"})
    write_image(tmp_path / "pictures" / "x.png", photo)
    log = Log()
    log_results(log, RESULTS, summary, tmp_path)
    (figures,) = log.metrics.values()
    assert figures["psnr/sigma_15/median"] == 28.5
    assert figures["ssim/sigma_50/adversarial"] == 0.4
    assert figures["mpx_per_s/adversarial"] == 12.5
    assert len(figures) == 12 + 3
    assert log.tables["results"] is RESULTS
    assert sorted(log.files) == ["metrics.json", "results.csv", "speed.json", "table.md", "x.png"]


# --- measuring ---


def test_every_method_is_measured_by_the_protocol_on_every_pair(sets, tmp_path):
    def half(noisy, sigma):
        time.sleep(0.002)
        return noisy / 2

    methods = {
        level: {"noisy": lambda noisy, sigma: noisy, "half": half} for level in ("sigma_15", "sigma_50")
    }
    table = measure(sets["test"], methods, tmp_path / "restored")
    assert list(table) == COLUMNS
    assert len(table) == 8
    for pair in sets["test"]:
        for name, shown in (("noisy", pair.noisy), ("half", pair.noisy / 2)):
            row = table[
                (table["name"] == pair.name) & (table.level == pair.level) & (table.method == name)
            ].iloc[0]
            expected = to_8_bit(shown)
            assert row.psnr == pytest.approx(psnr(expected, pair.clean, data_range=1.0))
            assert row.ssim == pytest.approx(ssim(expected, pair.clean, data_range=1.0))
            assert row.pixels == pair.clean.shape[0] * pair.clean.shape[1]
            kept = restored_image(tmp_path / "restored", pair.level, name, pair.name)
            np.testing.assert_allclose(kept, expected, atol=1e-6)
    assert table[table.method == "half"].seconds.min() >= 0.002


def test_the_methods_of_a_level_are_used_there_and_told_its_noise(sets, tmp_path):
    told = []

    def spy(level):
        return lambda noisy, sigma: told.append((level, round(sigma * 255))) or noisy

    methods = {level: {"spy": spy(level)} for level in sets["test"].levels}
    warm_up([methods["sigma_15"]["spy"]], sets["test"])
    assert told == [("sigma_15", 15)]
    measure(sets["test"], methods, tmp_path)
    assert told[1:] == [("sigma_15", 15)] * 2 + [("sigma_50", 50)] * 2


def test_filters_are_fitted_to_the_validation_set_of_their_level(sets):
    network = object()
    methods = methods_by_level(sets["val"], {"pretrained": network})
    expected = [
        "noisy", "mean", "median", "gaussian", "bilateral", "total_variation", "wavelet", "non_local_means",
        "pretrained",
    ]  # fmt: skip
    assert [list(named) for named in methods.values()] == [expected] * 2
    assert all(named["pretrained"] is network for named in methods.values())
    noisy = next(iter(sets["test"])).noisy
    assert methods["sigma_15"]["noisy"](noisy, 0.1) is noisy
    weak, strong = (methods[level]["gaussian"](noisy, 0.1) for level in ("sigma_15", "sigma_50"))
    assert strong.std() < weak.std()  # stronger noise asks for a larger filter


# --- pictures ---


@pytest.mark.parametrize("side", [1, 5, 8, 13])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_liveliest_square_is_where_the_detail_is(side, channels):
    rng = np.random.default_rng(side)
    for x, y in ((0, 0), (40 - side, 0), (0, 30 - side), (40 - side, 30 - side), (17, 9)):
        image = np.full((30, 40, channels), 0.5, np.float32)
        image[y : y + side, x : x + side] += rng.normal(0, 0.2, (side, side, channels))
        found_x, found_y, found_side = liveliest(image, side)
        assert found_side == side
        assert abs(found_x - x) <= 1
        assert abs(found_y - y) <= 1
        assert 0 <= found_x <= 40 - side
        assert 0 <= found_y <= 30 - side


@pytest.mark.parametrize("side", [1, 2, 5, 6])
def test_no_square_has_more_detail_than_the_liveliest(side):
    image = np.random.default_rng(side).random((11, 14, 3), dtype=np.float32)
    detail = np.abs(gaussian_laplace(image.mean(2), sigma=1.0))
    sums = {
        (x, y, side): detail[y : y + side, x : x + side].sum()
        for y in range(11 - side + 1)
        for x in range(14 - side + 1)
    }
    assert sums[liveliest(image, side)] == pytest.approx(max(sums.values()))


@pytest.mark.parametrize("shape", [(7, 30, 3), (30, 7, 1), (9, 9, 3), (1, 1, 1)])
def test_the_square_is_no_larger_than_the_image(shape):
    image = np.random.default_rng(0).random(shape, dtype=np.float32)
    x, y, side = liveliest(image, 96)
    assert side == min(shape[:2])
    assert 0 <= x <= shape[1] - side
    assert 0 <= y <= shape[0] - side


def test_a_comparison_has_the_same_bytes_every_time_and_shows_what_it_is_given(photo, tmp_path):
    images = {"noisy": photo[:40, :60] * 0.5, "clean": photo[:40, :60]}
    for name in ("one.png", "two.png"):
        draw_comparison(images, tmp_path / name, zoom_px=16)
    draw_comparison(images | {"noisy": photo[:40, :60] * 0.6}, tmp_path / "other.png", zoom_px=16)
    one, two, other = ((tmp_path / f"{name}.png").read_bytes() for name in ("one", "two", "other"))
    assert one == two
    assert one != other


def test_pictures_are_drawn_of_every_test_image_at_the_middle_level(sets, tmp_path):
    restored = tmp_path / "restored"
    for pair in sets["test"]:
        for method in ("noisy", "median", "pretrained", "adversarial"):
            path = restored / pair.level / method / f"{pair.name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(path, pair.noisy)
    summary = dict.fromkeys(("noisy", "mean", "pretrained", "adversarial"), SUMMARY["median"])
    summary["median"] = {"sigma_50": {"psnr": 23.0, "ssim": 0.0}, "sigma_15": {"psnr": 1.0, "ssim": 0.0}}
    draw_pictures(sets["test"], summary, restored, tmp_path / "pictures", zoom_px=16)
    drawn = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert drawn == ["x_sigma_50.png", "y_sigma_50.png"]
    height, width, _ = read_image(tmp_path / "pictures" / drawn[0]).shape
    assert width > 2 * height  # five columns, two rows
