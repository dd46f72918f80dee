"""Noise that is learned from noisy images is the noise that is in them."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from degrain.build.learned_noise import load_block_noise, smooth_rule
from degrain.compute import Engine
from degrain.data.noise_blocks import collect_blocks
from degrain.errors import DataError
from degrain.evaluation.noise_check import compare, correlation, figures, radial_spectrum
from degrain.files import write_image
from degrain.noise import Correlated, Learned
from degrain.noise.blocks import joined, noise_blocks
from degrain.seeding import seeded_generator
from degrain.stages import noise_model
from degrain.training.checkpoint import Checkpoint
from degrain.training.noise_model import learn_noise

ENGINE = Engine(torch.device("cpu"), torch.float32)
SHARED = 0.8  # of a channel's noise, the same in all


@dataclass(frozen=True)
class Camera:
    """Correlated noise, from pixel to pixel and from channel to channel, stronger where it is bright."""

    dark_255: float = 2.0
    bright_255: float = 8.0

    def sigma(self, clean):
        return (self.dark_255 + (self.bright_255 - self.dark_255) * clean) / 255

    def __call__(self, clean, seed):
        """clean (B, C, H, W) to noisy."""
        generator, grain = seeded_generator("camera", seed), Correlated(0.6)
        none, level = torch.zeros_like(clean), torch.full((len(clean),), 255.0)
        own = grain(none, level, generator=generator)
        shared = grain(none[:, :1], level, generator=generator)
        return clean + self.sigma(clean) * (SHARED * shared + (1 - SHARED**2) ** 0.5 * own)


def scene(seed, side=256):
    """A wall in some colour with a pattern on a part of it: (1, 3, side, side)."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    wall = [0.15 + 0.7 * random.random() + 0.1 * (x - 0.5) * random.normal() for _ in range(3)]
    pattern = 0.2 * (np.sin(40 * x) * np.sin(37 * y) > 0) * (x < 0.4)
    return torch.from_numpy(np.clip(np.stack(wall) + pattern, 0.05, 0.95)).float()[None]


def settings(make_params, **changes):
    tiny = {
        "blocks": {
            "side_px": 16,
            "cell_px": 8,
            "variance_tolerance": 0.8,
            "most_variance": 3.0,
            "most_coherence": 0.4,
        },
        "z_length": 32,
        "width": 8,
        "batch_size": 16,
        "lr": 0.002,
        "warmup_steps": 10,
        "ema_half_life_images": 1000,
    }
    return make_params({"noise_model": tiny | changes}).noise_model


def blocks_of(camera, section, scenes=12):
    rule, most = smooth_rule(section.blocks), section.blocks.per_image
    noisy = (camera(scene(seed), seed)[0].permute(1, 2, 0).numpy() for seed in range(scenes))
    return joined([noise_blocks(image, rule, most=most) for image in noisy])


def learned_against_truth(tmp_path, section, camera):
    """(standard deviation in units of 255, correlation of neighbours, of channels) at three brightnesses."""
    checkpoint = Checkpoint("noise_model", "test", root=tmp_path)
    network = learn_noise(blocks_of(camera, section), section, ENGINE, seed=0, checkpoint=checkpoint)
    for brightness in (0.25, 0.5, 0.75):
        clean = torch.full((6, 3, 96, 96), brightness)
        level = camera.sigma(clean[:, 0, 0, 0]) * 255
        made = Learned(network)(clean, level, generator=seeded_generator(1)) - clean
        yield _measured(made), _measured(camera(clean, "truth") - clean)


def _measured(noise):
    values = noise.numpy().astype(np.float64)
    shared = figures(noise.numpy())["channels"].values()
    return values.std() * 255, correlation(values, -1, 1), correlation(values, -2, 1), np.mean(list(shared))


def test_learned_noise_is_that_of_the_camera(tmp_path, make_params):
    """Strength to 12%, neighbours and channels to 0.2, after some seconds of training.

    White noise would miss by 0.45 and 0.64.
    """
    section = settings(make_params, steps=160)
    for made, truth in learned_against_truth(tmp_path, section, Camera()):
        assert made[0] == pytest.approx(truth[0], rel=0.12)
        assert made[1:] == pytest.approx(truth[1:], abs=0.2)


@pytest.mark.slow
def test_learned_noise_is_that_of_the_camera_the_more_it_trains(tmp_path, make_params):
    """Strength to 6%, neighbours and channels to 0.08."""
    section = settings(make_params, steps=600)
    for made, truth in learned_against_truth(tmp_path, section, Camera()):
        assert made[0] == pytest.approx(truth[0], rel=0.06)
        assert made[1:] == pytest.approx(truth[1:], abs=0.08)


def test_learned_noise_training_resumes_to_the_same_weights(tmp_path, make_params, monkeypatch):
    section = settings(make_params, steps=4, critic_steps=1)
    blocks = blocks_of(Camera(), section, scenes=2)
    whole = learn_noise(blocks, section, ENGINE, seed=0, checkpoint=Checkpoint("n", "whole", root=tmp_path))

    class Stopped(Exception):
        pass

    class Stops(Checkpoint):
        def save(self, state):
            super().save(state)
            if state["step"] == 2:
                raise Stopped

    monkeypatch.setattr("degrain.training.noise_model.CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(Stopped):
        learn_noise(blocks, section, ENGINE, seed=0, checkpoint=Stops("n", "part", root=tmp_path))
    resumed = learn_noise(blocks, section, ENGINE, seed=0, checkpoint=Checkpoint("n", "part", root=tmp_path))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_check_of_learned_noise_tells_apart_what_differs():
    random = np.random.default_rng(1)
    real, same = (random.normal(0, 0.02, (600, 2, 16, 16)).astype(np.float32) for _ in range(2))
    stronger, blurred = 1.2 * same, (same + np.roll(same, 1, -1)) / 2**0.5
    brightness = random.random(600).astype(np.float32)
    like, strong, soft = (compare(real, made, brightness) for made in (same, stronger, blurred))
    assert min(test["p_value"] for test in like["two_sample"].values()) > 0.001
    assert like["spectrum_distance_db"] < 0.1 < 0.5 < soft["spectrum_distance_db"]
    assert strong["two_sample"]["strengths"]["p_value"] < 1e-9
    assert soft["two_sample"]["neighbours"]["p_value"] < 1e-9
    assert soft["figures"]["made"]["neighbours"]["1 px right"] == pytest.approx(0.5, abs=0.03)
    assert soft["figures"]["made"]["neighbours"]["1 px down"] == pytest.approx(0, abs=0.03)
    assert [row["real"] for row in strong["by_brightness"]] == pytest.approx([5.1] * 4, rel=0.03)
    json.dumps(soft)


def test_spectrum_of_white_noise_is_flat():
    white = np.random.default_rng(2).normal(0, 1, (400, 1, 16, 16)).astype(np.float32)
    np.testing.assert_allclose(radial_spectrum(white), 1, atol=0.06)


def test_stage_writes_learned_noise_and_its_check(tmp_path, make_params, monkeypatch):
    """Images of a set without clean ones are taken for noisy."""
    for seed in range(8):
        noisy = Camera()(scene(seed, 128), seed)[0].permute(1, 2, 0).numpy()
        write_image(tmp_path / f"data/raw/{'val' if seed % 2 else 'train'}/{seed}.png", noisy)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(noise_model, "stage_key", lambda *_: "key")
    tiny = {"blocks": {"side_px": 16, "cell_px": 8}, "width": 4, "steps": 2, "batch_size": 4}
    noise_model.main(make_params({"noise_model": tiny}))
    network, rule = load_block_noise(noise_model.GENERATOR)
    assert (network.side_px, rule.cell_px) == (16, 8)
    assert json.loads((tmp_path / "reports/noise_model.json").read_text())["blocks"] > 200
    assert (tmp_path / "reports/noise_model.png").stat().st_size > 1000
    assert not list((tmp_path / ".checkpoints").rglob("state.pt"))


def test_learned_noise_needs_smooth_blocks(tmp_path, make_params):
    write_image(tmp_path / "train/a.png", np.random.default_rng(0).random((64, 64, 3), np.float32))
    rule = smooth_rule(settings(make_params).blocks)
    with pytest.raises(DataError, match=r"smooth blocks of noise in 1 images; expected at least 200"):
        collect_blocks(tmp_path, rule, most_per_image=9)
