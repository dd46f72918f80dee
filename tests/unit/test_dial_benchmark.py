"""Which rows of the dial's report are measured anew."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmarks import dial


@pytest.fixture
def known(tmp_path, monkeypatch):
    """The rows of CBSD68 that are known from a changed report."""
    report = pd.read_csv(dial.REPORT)

    def read(change):
        change(report).to_csv(tmp_path / "dial.csv", index=False)
        monkeypatch.setattr(dial, "REPORT", tmp_path / "dial.csv")
        return dial.known("cbsd68")

    return read


def test_rows_of_these_weights_are_known(known):
    rows = known(lambda report: report)
    assert list(rows["dial"]) == list(dial.POSITIONS)
    assert set(rows["set"]) == {"cbsd68"}


def test_rows_of_other_weights_are_not(known):
    assert known(lambda report: report.assign(realistic="0" * 64)).empty


def test_rows_from_before_a_distance_was_measured_are_not(known):
    assert known(lambda report: report.drop(columns="unrounded_feature_distance")).empty


def test_without_a_report_nothing_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr(dial, "REPORT", tmp_path / "none.csv")
    assert dial.known("cbsd68").empty
