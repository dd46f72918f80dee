"""Networks between two end points."""

from __future__ import annotations

import pytest
import torch

from degrain.build.dial import load_between
from degrain.build.generator import build_generator, save_generator
from degrain.errors import DegrainError
from training_support import trained_like


@pytest.fixture
def ends(make_params, tmp_path):
    section = make_params().model
    paths = [tmp_path / "faithful.safetensors", tmp_path / "realistic.safetensors"]
    networks = []
    for seed, path in enumerate(paths):
        torch.manual_seed(seed)
        networks.append(trained_like(build_generator(section, 3)))
        save_generator(path, networks[-1], section, 3)
    return paths, networks


@pytest.mark.parametrize("dial", [0.0, 0.25, 1.0])
def test_weights_lie_on_the_line_between_the_end_points(ends, dial):
    paths, (faithful, realistic) = ends
    between, channels = load_between(*paths, dial)
    assert channels == 3
    for name, value in between.state_dict().items():
        expected = (1 - dial) * faithful.state_dict()[name] + dial * realistic.state_dict()[name]
        torch.testing.assert_close(value, expected)


def test_different_networks_and_a_dial_out_of_range_are_refused(ends, make_params, tmp_path):
    paths, _ = ends
    other, section = tmp_path / "other.safetensors", make_params({"model": {"generator": "dncnn"}}).model
    save_generator(other, build_generator(section, 3), section, 3)
    with pytest.raises(DegrainError, match="different networks"):
        load_between(paths[0], other, 0.5)
    with pytest.raises(DegrainError, match=r"dial = 1\.5; expected a number from 0"):
        load_between(*paths, 1.5)
