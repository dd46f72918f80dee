"""What a GPU with CUDA must do as the processor does; all of it is skipped where there is none."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from degrain.build.degrader import Degrader
from degrain.build.generator import build_generator
from degrain.build.pixel_losses import PIXEL
from degrain.compute import start_engine
from degrain.data.augment import jitter_colours
from degrain.params import Compute
from degrain.restore import Restorer
from degrain.training.loop import Plan, advance, prepared
from degrain.training.pixel import PixelStep
from degrain.training.setup import start_state
from training_support import adversarial_training, small_dataset, summary_of_weights, trained_like

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU with CUDA here")

KINDS = ("gaussian", "poisson", "poisson-gaussian", "salt-pepper", "speckle", "jpeg", "correlated", "chain")


def cuda(precision="bfloat16"):
    return start_engine(Compute(device="cuda", precision=precision, threads=1))


def on_gpu(make_params, photo, folder, engine, **changes):
    """A training of every part that runs on a GPU: symmetric weights, Muon, strong noise."""
    unet = {"unet": {"widths": [16, 24], "blocks": [1, 2], "stem_stride": 2, "equivariant": True}}
    params = make_params({"model": unet, "pretrain": {"optimizer": "muon", "steps": 8, **changes}})
    torch.manual_seed(0)
    state = start_state(build_generator(params.model, 3), params.pretrain, engine)
    data = small_dataset(params, params.pretrain, photo, folder)
    step = PixelStep(PIXEL[params.pretrain.loss], params.pretrain.balance_levels)
    return state, Plan(params.pretrain, data, step, summary_of_weights)


def go_on(state, plan, stop):
    for batch in prepared(plan.data, state.step, stop, state.engine):
        stats = advance(state, batch, plan)
    return stats


def same_weights(one, other):
    return all(
        torch.equal(mine, theirs)
        for mine, theirs in zip(one.network.parameters(), other.network.parameters(), strict=True)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_noise_drawn_on_the_gpu_is_as_strong_as_it_says(make_params, kind):
    clean = torch.rand((16, 3, 64, 64), generator=torch.Generator().manual_seed(0)).cuda() * 0.6 + 0.2
    generator = torch.Generator("cuda").manual_seed(0)
    noisy, sigma = Degrader(make_params({"noise": {"kind": kind}}).noise)(clean, generator=generator)
    assert noisy.device == sigma.device == clean.device
    measured = (noisy - clean).square().flatten(1).mean(1).sqrt()
    torch.testing.assert_close(measured, sigma, rtol=0.1, atol=0.003)


def test_batches_show_the_crops_that_the_processor_shows(make_params, photo, tmp_path):
    engine = cuda()
    _, plan = on_gpu(make_params, photo, tmp_path, engine)
    for step, batch in enumerate(prepared(plan.data, 0, 6, engine)):
        here = plan.data.batch(step)
        torch.testing.assert_close(batch.clean.cpu(), here.clean, rtol=0, atol=1e-6)
        assert batch.noisy.is_contiguous(memory_format=torch.channels_last)
        assert not torch.allclose(batch.noisy.cpu(), here.noisy)


def test_colours_jitter_on_the_gpu():
    images = torch.rand((4, 3, 8, 8)).cuda()
    changed = jitter_colours(images, 0.5, generator=torch.Generator("cuda").manual_seed(0))
    assert changed.device == images.device
    assert not torch.equal(changed, images)


def test_pretraining_that_is_interrupted_ends_with_the_same_bytes(make_params, photo, tmp_path):
    engine = cuda()
    whole, plan = on_gpu(make_params, photo, tmp_path / "a", engine)
    go_on(whole, plan, 8)
    half, plan = on_gpu(make_params, photo, tmp_path / "b", engine)
    go_on(half, plan, 4)
    kept = copy.deepcopy(half.state_dict())
    resumed, plan = on_gpu(make_params, photo, tmp_path / "c", engine)
    resumed.load_state_dict(kept)
    stats = go_on(resumed, plan, 8)
    assert np.isfinite(list(stats.values())).all()
    assert same_weights(whole.generator, resumed.generator)
    assert same_weights(whole.ema, resumed.ema)


def test_the_weights_of_a_symmetric_network_stay_equal(make_params, photo, tmp_path):
    state, plan = on_gpu(make_params, photo, tmp_path, cuda("float32"), lr=0.01)
    go_on(state, plan, 8)
    network = state.generator.network.eval()
    noisy, sigma = torch.rand((1, 3, 32, 32)).cuda(), torch.tensor([0.1]).cuda()
    with torch.no_grad():
        turned = network(noisy.rot90(1, (2, 3)), sigma)
        torch.testing.assert_close(turned, network(noisy, sigma).rot90(1, (2, 3)), rtol=0, atol=2e-3)


def test_adversarial_training_runs(make_params, photo, tmp_path):
    params = make_params({"train": {"steps": 4}})
    data = small_dataset(params, params.train, photo, tmp_path)
    state, plan = adversarial_training(params, data, engine=cuda())
    assert np.isfinite(list(go_on(state, plan, 4).values())).all()


@pytest.mark.parametrize(("precision", "near"), [("float32", 2e-3), ("bfloat16", 2e-2)])
def test_a_restoration_is_that_of_the_processor(make_params, photo, precision, near):
    network = trained_like(build_generator(make_params().model, 3))
    there = Restorer(copy.deepcopy(network), 3, cuda(precision))(photo, 0.1)
    here = Restorer(network, 3, start_engine(Compute(device="cpu", precision="float32", threads=1)))(
        photo, 0.1
    )
    assert np.abs(there - here).mean() < near * np.abs(here).mean()
