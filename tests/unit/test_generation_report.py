"""What is said of generated images and of classifiers: the order is right, each figure in its place."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from degrain.files import read_image, write_csv, write_json
from degrain.generation.accuracy_report import accuracy_summary, accuracy_table, draw_accuracy
from degrain.generation.classifier import start_classifier
from degrain.generation.comparison import (
    FLOOR,
    GENERATED,
    as_many,
    blurred,
    class_shares,
    compared,
    frechet_table,
    noisy,
    summary,
)
from degrain.generation.labelled import read_real
from degrain.generation.loop import train
from degrain.generation.results import results_page
from degrain.generation.samples import MARGIN_PX, doubling, draw_course, draw_samples, grid
from degrain.generation.semi_supervised import ALONE, WITH
from degrain.training.checkpoint import Checkpoint
from generation_support import tiny_params, write_set
from training_support import CPU, Recorder

SETTINGS = tiny_params({"evaluate": {"images": 300, "blur_px": [0.5, 1, 2], "noise_255": [10, 25, 50]}})


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return read_real(write_set(tmp_path_factory.mktemp("set"), train=900, test=300), 300)


@pytest.fixture(scope="module")
def judge(real, tmp_path_factory):
    torch.set_num_threads(1)
    changes = {"steps": 120, "lr": 0.003, "look_every": 120, "batch_size": 32}
    settings = tiny_params({"classifier": changes}).classifier
    state, course = start_classifier(real.seen, real.unseen, settings, CPU, seed=0)
    checkpoint = Checkpoint("t", "k", root=tmp_path_factory.mktemp("judge"))
    train(state, course, checkpoint=checkpoint, log=Recorder())
    return state.ema.network


def test_worse_images_are_further_away(real, judge):
    table = frechet_table(judge, real, noisy(real.test.images, 200, seed=1), SETTINGS.evaluate, CPU, seed=0)
    distances = table.set_index("images")["frechet_distance"]
    blurs = [FLOOR, *(f"real, blurred by {sigma} px" for sigma in (0.5, 1, 2))]
    noises = [FLOOR, *(f"real, noise of {sigma} / 255" for sigma in (10, 25, 50)), GENERATED]
    for names in (blurs, noises):
        assert list(distances[names]) == sorted(distances[names])
        assert distances[names[-1]] > 10 * distances[FLOOR]
    assert table["times_floor"][0] == 1
    assert table["times_floor"][2] == pytest.approx(distances[GENERATED] / distances[FLOOR], rel=1e-3)


def test_distance_of_the_test_images_from_themselves_is_none(real, judge):
    table = frechet_table(judge, real, real.test.images[:300], SETTINGS.evaluate, CPU, seed=0)
    assert table.set_index("images")["frechet_distance"][GENERATED] == pytest.approx(0, abs=1e-6)


def test_kinds_of_images_are_compared_in_equal_numbers(real):
    assert as_many(real, 10_000) == 300
    assert as_many(real, 30) == 30
    kinds = compared(real, real.test.images[:30], SETTINGS.evaluate, seed=0)
    assert {len(images) for _, images in kinds} == {30}


def test_shares_of_the_classes(real, judge):
    shares = {name: class_shares(judge, images, 3, CPU) for name, images in (
        ("test", real.test.images), ("generated", real.test.images[real.test.labels == 1]),
    )}  # fmt: skip
    assert sum(shares["test"]) == pytest.approx(1, abs=1e-3)
    assert min(shares["test"]) > 0.2
    assert shares["generated"][1] > 0.6
    table = pd.DataFrame({"images": [FLOOR, "real, learned", GENERATED], "frechet_distance": [1.0, 2.0, 3.0]})
    figures = summary(table, shares, 300)
    assert figures["frechet_distance"] == {"generated": 3, "floor": 1}
    assert figures["rarest_class"]["generated"] == min(shares["generated"])


def test_blur_keeps_the_mean_and_noise_has_its_strength():
    images = torch.full((50, 1, 16, 16), 128, dtype=torch.uint8)
    images[:, :, 8:] = 100
    assert blurred(images, 1).float().mean() == pytest.approx(114, abs=0.5)
    assert blurred(images, 1).dtype == noisy(images, 10, seed=0).dtype == torch.uint8
    assert (noisy(images, 10, seed=0).float() - images.float()).std() == pytest.approx(10, rel=0.03)


def test_grid_shows_every_image_in_its_place(tmp_path):
    images = torch.arange(40, dtype=torch.uint8).view(40, 1, 1, 1).expand(40, 1, 4, 4).contiguous()
    one = grid(images)
    step = 4 + MARGIN_PX
    assert one.shape == (4 * step, 10 * step, 1)
    places = one[::step, ::step, 0] * 255
    assert np.array_equal(places.round().flatten(), np.arange(40))
    assert one[4 : 4 + MARGIN_PX].max() == 0
    draw_samples(tmp_path / "samples.png", images)
    assert read_image(tmp_path / "samples.png").shape == (3 * 4 * step, 3 * 10 * step, 1)
    assert grid(images[:4]).shape == (step, 4 * step, 1)


def test_course_shows_steps_that_double(tmp_path):
    assert doubling([250 * n for n in range(1, 33)]) == [250, 500, 1000, 2000, 4000, 8000]
    assert doubling([5]) == [5]
    assert doubling([1, 2, 3]) == [1, 3]
    images = {step: torch.full((20, 1, 8, 8), step, dtype=torch.uint8) for step in (10, 20, 40)}
    for name in ("one", "two"):
        draw_course(tmp_path / f"{name}.png", images)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def curves(draws=2):
    rows = [
        {"draw": draw, "method": method, "step": step, "accuracy": base + draw / 100 + step / 1000}
        for draw in range(1, draws + 1)
        for method, base in ((ALONE, 0.5), (WITH, 0.6))
        for step in (20, 10)
    ]
    return pd.DataFrame(rows)


def test_accuracy_table_has_the_last_step_of_every_draw(tmp_path):
    table = accuracy_table(curves())
    assert list(table["draw"]) == ["1", "2", "mean", "standard deviation"]
    assert table[ALONE].tolist() == pytest.approx([0.53, 0.54, 0.535, 0.01 / 2**0.5])
    assert table["gain"].tolist() == pytest.approx([0.1, 0.1, 0.1, 0])
    figures = accuracy_summary(table, 10)
    assert figures["accuracy"] == {ALONE: 0.535, WITH: 0.635}
    assert (figures["draws"], figures["gain"], figures["labels_per_class"]) == (2, 0.1, 10)
    draw_accuracy(tmp_path / "accuracy.png", curves(), table)
    assert (tmp_path / "accuracy.png").stat().st_size > 5000


def test_single_draw_has_no_spread():
    figures = accuracy_summary(accuracy_table(curves(1)), 10)
    assert set(figures["standard_deviation"].values()) == {None}
    json.dumps(figures, allow_nan=False)


def test_results_page_shows_what_the_files_say(tmp_path):
    write_json(tmp_path / "classifier.json", {"test_accuracy": 0.912})
    shares = {"rarest_class": {"test": 0.09, "generated": 0.031}}
    write_json(tmp_path / "dcgan.json", {"images": 10000, **shares})
    rows = [(FLOOR, 0.5, 1.0), (GENERATED, 4.25, 8.5), ("real, blurred by 1 px", 2.0, 4.0)]
    write_csv(
        tmp_path / "frechet.csv", pd.DataFrame(rows, columns=["images", "frechet_distance", "times_floor"])
    )
    table = accuracy_table(curves(1))
    write_csv(tmp_path / "semi_supervised.csv", table)
    write_json(tmp_path / "semi_supervised.json", accuracy_summary(table, 10))
    page = results_page(tmp_path)
    nearest, middle, furthest = (
        page.index(f"| {name} |") for name in (FLOOR, "real, blurred by 1 px", GENERATED)
    )
    assert nearest < middle < furthest
    for part in ("accuracy 91.2%", "10,000 images", "| generated | 4.25 | 8.5 |", "3.1%", "no FID"):
        assert part in page
    assert "| 1 | 53.00% | 63.00% | 10.00 |" in page
    assert "| standard deviation |  |  |  |" in page
    assert max(map(len, page.splitlines())) <= 120
