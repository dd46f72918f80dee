"""Learned noise in the pipeline: params that build on others, what is told, what runs again."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from degrain.build.learned_noise import build_block_noise, save_block_noise, smooth_rule
from degrain.build.level_estimate import level_estimate
from degrain.data.noise_blocks import collect_blocks
from degrain.data.sources import write_learned_noise
from degrain.errors import DataError
from degrain.files import write_image
from degrain.noise_level import noise_level
from degrain.params import ParamsError, load_params
from degrain.stages import download, sources
from support import ROOT

EXPERIMENT = ROOT / "experiments/learned-noise"


def test_params_say_what_differs_from_their_base(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "params.yaml").write_text(f"base: {ROOT}/params.yaml\nnoise: {{kind: jpeg}}\nseed: 3\n")
    (tmp_path / "params.yaml").write_text("base: a/params.yaml\nseed: 4\n")
    params, top = load_params(tmp_path / "params.yaml"), load_params(ROOT / "params.yaml")
    assert (params.seed, params.noise.kind) == (4, "jpeg")
    assert params.pretrain == top.pretrain


def test_params_without_their_base_say_so(tmp_path):
    (tmp_path / "params.yaml").write_text("base: nowhere.yaml\n")
    with pytest.raises(ParamsError, match=r"nowhere\.yaml: not found"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("arm", ["gaussian", "learned", "pairs"])
def test_arms_of_the_learned_noise_experiment_differ_in_their_noise_alone(arm):
    params, common = (
        load_params(folder / "params.yaml") for folder in (EXPERIMENT / "arms" / arm, EXPERIMENT)
    )
    assert params.noise.kind == arm
    assert params.noise.tests_on_pairs
    assert params.model_copy(update={"noise": common.noise}) == common


@pytest.mark.parametrize("arm", ["gaussian", "learned", "pairs"])
def test_arms_on_the_made_up_camera_are_those_on_the_real_photographs(arm):
    made, real = (
        load_params(EXPERIMENT / folder / arm / "params.yaml") for folder in ("camera/arms", "arms")
    )
    assert made == real


def test_the_made_up_camera_makes_the_noise_that_it_says():
    """Its strength follows the brightness; grain is wider than a pixel; channels are alike."""
    path = EXPERIMENT / "camera/camera.py"
    spec = importlib.util.spec_from_file_location("camera", path)
    camera = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(camera)
    for brightness in (0.2, 0.7):
        clean = np.full((200, 200, 3), brightness, np.float32)
        noise = camera.photograph(clean, 1) - clean
        sigma_255 = camera.DARK_255 + (camera.BRIGHT_255 - camera.DARK_255) * brightness
        assert noise.std() * 255 == pytest.approx(sigma_255, rel=0.04)
        assert np.corrcoef(noise[..., 0].flat, noise[..., 2].flat)[0, 1] == pytest.approx(0.64, abs=0.03)
        # Two of its filters, a pixel apart: exp(-1 / (4 blur^2)).
        assert np.corrcoef(noise[:, 1:].flat, noise[:, :-1].flat)[0, 1] == pytest.approx(0.6, abs=0.03)
    assert (camera.photograph(clean, 1) - clean == noise).all()
    assert (camera.photograph(clean, 2) - clean != noise).any()


def noisy_photographs(folder, seed):
    """Smooth scenes, each another, with noise that is wider than a pixel."""
    rng = np.random.default_rng(seed)
    for number in range(8):  # so few make a set that is judged as a whole
        scene = gaussian_filter(rng.normal(0, 1, (128, 160, 3)), (40, 40, 0))
        noise = gaussian_filter(rng.normal(0, 1, scene.shape), (0.7, 0.7, 0))
        noisy = 0.5 + 0.15 * scene / scene.std() + 12 / 255 * noise / noise.std()
        write_image(folder / f"{number}.png", noisy.clip(0, 1).astype(np.float32))


def test_noise_is_learned_from_folders_of_noisy_photographs_alone(tmp_path, monkeypatch):
    """The check of clean images refuses them at the top, and lets them pass in the experiment."""
    monkeypatch.chdir(tmp_path)
    for seed, split in enumerate(("train", "val", "test")):
        noisy_photographs(tmp_path / split, seed)
    named = json.dumps({split: [f"folder:{tmp_path / split}"] for split in ("train", "val", "test")})
    for base in (ROOT, EXPERIMENT):
        (tmp_path / "params.yaml").write_text(f"base: {base}/params.yaml\ndata: {named}\n")
        params = load_params(tmp_path / "params.yaml")
        sources.main(params)
        if base == ROOT:
            with pytest.raises(DataError, match="noisy as a whole"):
                download.main(params)
    download.main(params)
    blocks = params.noise_model.blocks
    found = collect_blocks(tmp_path / "data/raw", smooth_rule(blocks), most_per_image=blocks.per_image)
    assert found.level_255.mean() == pytest.approx(12, rel=0.1)


def test_a_single_photograph_beside_pairs_is_not_left_out_in_silence(tmp_path):
    """Whether it is noisy or clean nothing says."""
    params = load_params(EXPERIMENT / "params.yaml")
    noisy_photographs(tmp_path / "train", 0)
    (tmp_path / "train_noisy").mkdir()
    (tmp_path / "train_noisy/0.png").write_bytes((tmp_path / "train/0.png").read_bytes())
    with pytest.raises(DataError, match=r"train/1\.png: not one of a pair.*only pairs or only noisy photog"):
        collect_blocks(tmp_path, smooth_rule(params.noise_model.blocks), most_per_image=1)


def test_learned_noise_stands_for_itself_by_its_hash(tmp_path, make_params):
    path, note = tmp_path / "generator.safetensors", tmp_path / "note.json"
    changes = {"kind": "chain", "chain": {"kinds": ["learned", "jpeg"]}, "learned": {"generator": str(path)}}
    assert make_params({"noise": changes}).noise.learned_generator == str(path)
    assert make_params({"noise": {"learned": {"generator": str(path)}}}).noise.learned_generator is None
    write_learned_noise(note, None)
    notes = [json.loads(note.read_text())]
    for contents in (b"one", b"another"):
        path.write_bytes(contents)
        write_learned_noise(note, str(path))
        notes.append(json.loads(note.read_text()))
    assert notes[0] == {"sha256": None}
    assert notes[0] != notes[1] != notes[2]
    path.unlink()
    with pytest.raises(DataError, match=r"noise\.learned\.generator = .*: no such file; dvc repro"):
        write_learned_noise(note, str(path))


def test_learned_noise_comes_with_its_own_estimate_of_the_level(tmp_path, make_params):
    section = make_params().noise_model
    path = tmp_path / "generator.safetensors"
    save_block_noise(path, build_block_noise(section, 3), section)
    changes = {"noise": {"kind": "learned", "learned": {"generator": str(path)}}}
    assert level_estimate(make_params().noise) is noise_level
    white = np.random.default_rng(1).normal(0, 1, (132, 132, 3))
    wide = sum(white[y : y + 128, x : x + 128] for y in range(5) for x in range(5)) / 5
    noisy = (0.5 + wide * 6 / 255).astype(np.float32)
    assert level_estimate(make_params(changes).noise)(noisy) * 255 == pytest.approx(6, rel=0.15)
    assert noise_level(noisy) * 255 < 3
