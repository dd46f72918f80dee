"""What `make benchmark` measures anew, and what it keeps."""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
import pytest

from benchmarks.standard import __main__ as benchmark
from benchmarks.standard.methods import Method


def fixed(name, identity="now"):
    """A method that returns its input."""
    return Method(name, lambda _: lambda noisy, sigma: noisy, identity)


@pytest.fixture
def measure(tmp_path, monkeypatch):
    """Measures a set of one image with the methods given; returns method and identity of the rows."""
    clean = np.random.default_rng(0).random((16, 16, 1), np.float32)
    monkeypatch.setattr(benchmark, "REPORTS", tmp_path)
    monkeypatch.setattr(benchmark, "load_set", lambda name: [("one", clean)])

    def run(*methods, again=False, only=None):
        options = argparse.Namespace(all=again, methods=only, threads=1)
        quality = benchmark._read(tmp_path / "quality.csv")
        rows = benchmark._measure_set("set12", {1: list(methods)}, quality, options)
        pd.testing.assert_frame_equal(
            pd.read_csv(tmp_path / "quality.csv"), rows.reset_index(drop=True), check_dtype=False
        )
        return {(row.method, row.identity) for row in rows.itertuples()}

    return run


def test_what_is_known_stays_and_what_has_changed_is_measured_again(measure):
    assert measure(fixed("a"), fixed("b")) == {("a", "now"), ("b", "now")}
    assert measure(fixed("a", "later")) == {("a", "later"), ("b", "now")}


def test_measuring_all_anew_loses_no_method_that_does_not_take_part(measure):
    measure(fixed("a"), fixed("bm3d"))
    assert measure(fixed("a"), again=True, only=["a"]) == {("a", "now"), ("bm3d", "now")}


def test_speeds_are_kept_where_a_method_of_theirs_is_missing(tmp_path):
    report = tmp_path / "speed.csv"
    assert not benchmark._would_lose(report, {1: [fixed("a")]})
    report.write_text("channels,method\n1,a\n1,bm3d\n")
    assert benchmark._would_lose(report, {1: [fixed("a")]})
    assert not benchmark._would_lose(report, {1: [fixed("a")], 3: [fixed("bm3d")]})
