"""The generators that come with the package, as a user meets them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from degrain import cli
from degrain.build.generator import load_generator
from degrain.build.released import LEGS, WEIGHTS, released_path
from degrain.files import sha256_file
from degrain.metrics import psnr
from degrain.params import parse_params
from degrain.restorers import sampling_path
from degrain.stages import pretrain
from support import merged
from training_support import CPU

ENDS = ("faithful", "realistic")
NAMES = {1: "grey", 3: "colour"}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("channels", NAMES)
def test_a_noisy_photograph_is_restored_without_any_option(photo, tmp_path, monkeypatch, end, channels):
    clean = np.rint(photo[:, :, :channels] * 255).astype(np.uint8)
    noise = np.random.default_rng(0).normal(0, 25, clean.shape)
    noisy = (clean + noise).round().clip(0, 255).astype(np.uint8)
    Image.fromarray(noisy.squeeze()).save(tmp_path / "noisy.png")
    options = [] if end == "faithful" else ["--model", end]
    monkeypatch.chdir(tmp_path)
    assert cli.main(["denoise", "noisy.png", *options]) == 0
    restored = np.asarray(Image.open(tmp_path / "restored" / "noisy.png")).reshape(clean.shape)
    before, after = (psnr(image, clean, data_range=255) for image in (noisy, restored))
    assert after > before + 7


def test_the_weights_are_as_many_and_as_small_as_promised():
    files = [released_path(end, channels) for end in ENDS for channels in NAMES]
    for path in files:
        network, _ = load_generator(path)
        assert sum(weight.numel() for weight in network.parameters()) <= 4e6
    assert sum(path.stat().st_size for path in files) < 32 * 2**20
    for path in map(sampling_path, NAMES):
        assert load_generator(path)[0].stochastic
        assert path.stat().st_size < 8 * 2**20


@pytest.mark.parametrize("channels", NAMES)
def test_list_of_legs_and_card_name_the_weights_that_are_there(channels):
    name = NAMES[channels]
    last = json.loads(LEGS.read_text(encoding="utf-8"))[name][-1]
    card = (WEIGHTS / f"{name}.md").read_text(encoding="utf-8")
    for end in ENDS:
        digest = sha256_file(released_path(end, channels))
        assert last[end]["sha256"] == digest
        assert digest in card
    assert "sampling" in last, "the faithful weights are new: train samples on from them, and release them"
    assert last["sampling"]["sha256"] == sha256_file(sampling_path(channels))
    assert last["sampling"]["sha256"] in card


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "pretrain: on from faithful-colour.safetensors, released with degrain"),
        ({"data": {"channels": 1}}, "pretrain: on from faithful-grey.safetensors"),
        ({"pretrain": {"start": "none"}}, "pretrain: from nothing\n"),
        (
            {"data": {"channels": 1}, "model": {"unet": {"stem_stride": 1}}},
            "are of another model: generator unet, widths [96, 128, 160]",
        ),
    ],
)
def test_pretraining_says_what_it_goes_on_from(default_values, capsys, changes, said):
    pretrain.start(parse_params(merged(default_values, changes)), CPU)
    assert said in capsys.readouterr().out
