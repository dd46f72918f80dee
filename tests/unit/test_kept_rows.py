"""Which rows of the reports on the released generators are measured anew."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmarks import dial, sampling


@pytest.fixture(params=[dial, sampling], ids=["dial", "sampling"])
def benchmark_module(request):
    return request.param


@pytest.fixture
def known(tmp_path, monkeypatch, benchmark_module):
    """The rows of CBSD68 that are known from a changed report."""
    report = pd.read_csv(benchmark_module.REPORT)

    def read(change):
        change(report).to_csv(tmp_path / "report.csv", index=False)
        monkeypatch.setattr(benchmark_module, "REPORT", tmp_path / "report.csv")
        return benchmark_module.known("cbsd68")

    return read


def test_rows_of_these_weights_are_known(known, benchmark_module):
    rows = known(lambda report: report)
    column, values = {
        dial: ("dial", list(dial.POSITIONS)),
        sampling: ("restoration", ["faithful", "realistic", "one sample"]),
    }[benchmark_module]
    assert list(rows[column]) == values
    assert set(rows["set"]) == {"cbsd68"}


def test_rows_of_other_weights_are_not(known, benchmark_module):
    for what in benchmark_module.weights_of("cbsd68"):
        assert known(lambda report, what=what: report.assign(**{what: "0" * 64})).empty


def test_rows_from_before_a_distance_was_measured_are_not(tmp_path, monkeypatch):
    report = pd.read_csv(dial.REPORT).drop(columns="unrounded_feature_distance")
    report.to_csv(tmp_path / "dial.csv", index=False)
    monkeypatch.setattr(dial, "REPORT", tmp_path / "dial.csv")
    assert dial.known("cbsd68").empty


def test_without_a_report_nothing_is_known(tmp_path, monkeypatch, benchmark_module):
    monkeypatch.setattr(benchmark_module, "REPORT", tmp_path / "none.csv")
    assert benchmark_module.known("cbsd68").empty
