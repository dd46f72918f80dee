"""A training on a pixel loss that blows up is stopped; one that goes well is let alone."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from degrain.training.checkpoint import Checkpoint
from degrain.training.descend import Diverged
from degrain.training.loop import fit
from degrain.training.state import Chart
from degrain.training.watch import GRADIENT, RISE, WINDOW, GradientWatch
from training_support import Recorder, pixel_training, small_dataset


def watched(norms, chart=None):
    """The chart after steps with these gradients."""
    state = SimpleNamespace(chart=chart or Chart(), step=0)
    watch = GradientWatch()
    for step, norm in enumerate(norms, start=1):
        state.step = step
        watch.look(state, {GRADIENT: norm}, {})
    return state.chart


def test_a_rise_that_lasts_is_named_with_both_figures():
    seen = rf"step {2 * WINDOW}: {GRADIENT} = 0.5, .* least, 0.04\. Lower pretrain.lr"
    with pytest.raises(Diverged, match=seen):
        watched([0.04] * WINDOW + [0.5] * WINDOW)


@pytest.mark.parametrize(
    "norms",
    [
        [1.0 / step for step in range(1, 500)],  # falls, as it does
        [0.04] * 70 + [1e6] + [0.04] * 100,  # one bad batch
        [0.04] * WINDOW + [0.04 * RISE * 0.99] * 200,
        [5.0] * (WINDOW - 1),
    ],
)
def test_what_falls_jumps_once_or_rises_a_little_goes_on(norms):
    watched(norms)


def test_what_it_has_seen_outlasts_a_resumption():
    seen = watched([0.04] * WINDOW + [0.5] * (WINDOW // 2))
    with pytest.raises(Diverged, match=rf"step {WINDOW // 2}: .* least, 0.04"):
        watched([0.5] * (WINDOW // 2), Chart(**vars(seen)))


@pytest.mark.parametrize(("lr", "ends_well"), [(0.001, True), (0.15, False)])
def test_muon_is_stopped_where_its_rate_is_too_large(make_params, photo, tmp_path, lr, ends_well):
    sizes = {"steps": 200, "validate_every": 200, "warmup_steps": 199, "batch_size": 2, "patch_size": 16}
    params = make_params({"pretrain": {"optimizer": "muon", "lr": lr, **sizes}})
    data = small_dataset(params, params.pretrain, photo, tmp_path / "patches")
    state, plan = pixel_training(params, data)
    plan = replace(plan, guard=GradientWatch())
    checkpoint = Checkpoint("t", "key", root=tmp_path)
    if ends_well:
        fit(state, plan, checkpoint=checkpoint, log=Recorder(), name="t")
        assert state.step == 200
        return
    with pytest.raises(Diverged, match=r"Lower pretrain\.lr"):
        fit(state, plan, checkpoint=checkpoint, log=Recorder(), name="t")
    assert state.step < 200
