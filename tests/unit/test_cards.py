"""The model cards of the released generators."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest

from benchmarks.standard import cards
from support import ROOT

REPORTS = ROOT / "reports" / "benchmark"
NAMES = ("grey", "colour")


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes the cards from changed figures; returns what they say."""

    def write(change=lambda dial: dial):
        shutil.copy(REPORTS / "quality.csv", tmp_path)
        shutil.copytree(REPORTS / "sampling", tmp_path / "sampling", dirs_exist_ok=True)
        for name in ("dial", "sampling"):
            change(pd.read_csv(REPORTS / f"{name}.csv")).to_csv(tmp_path / f"{name}.csv", index=False)
        monkeypatch.setattr(cards, "WEIGHTS", tmp_path)
        cards.write_cards(tmp_path)
        return {name: (tmp_path / f"{name}.md").read_text(encoding="utf-8") for name in NAMES}

    return write


def test_the_cards_say_what_the_reports_say(written):
    for name, card in written().items():
        assert (ROOT / "src/degrain/weights" / f"{name}.md").read_text(encoding="utf-8") == card


def test_what_was_measured_with_other_weights_is_left_out(written):
    before, after = written(), written(lambda dial: dial.assign(realistic="0" * 64))
    for name in NAMES:
        assert before[name].count("| feature distance |") == 2  # of the dial, and of the samples
        assert "| feature distance |" not in after[name]
        assert after[name].count("not been measured") == 2


def test_a_leg_without_a_realistic_end_has_an_empty_cell(tmp_path, monkeypatch):
    legs = json.loads(cards.LEGS.read_text(encoding="utf-8"))
    legs["grey"] = [{**legs["grey"][-1], "started_from": None}, legs["grey"][-1]]
    del legs["grey"][0]["realistic"]
    (tmp_path / "legs.json").write_text(json.dumps(legs))
    monkeypatch.setattr(cards, "LEGS", tmp_path / "legs.json")
    monkeypatch.setattr(cards, "WEIGHTS", tmp_path)
    cards.write_cards(REPORTS)
    first, second = [
        line.split(" | ")
        for line in (tmp_path / "grey.md").read_text().splitlines()
        if line.startswith("| ") and "gaussian, sigma" in line
    ]
    assert first[4] == ""
    assert second[4] != ""


def test_where_the_last_leg_has_no_realistic_end_the_card_is_of_the_faithful_one(tmp_path, monkeypatch):
    legs = json.loads(cards.LEGS.read_text(encoding="utf-8"))
    del legs["grey"][-1]["realistic"]
    legs["grey"][-1]["noise"]["train"] = 25
    (tmp_path / "legs.json").write_text(json.dumps(legs))
    monkeypatch.setattr(cards, "LEGS", tmp_path / "legs.json")
    monkeypatch.setattr(cards, "WEIGHTS", tmp_path)
    cards.write_cards(REPORTS)
    card = (tmp_path / "grey.md").read_text()
    assert "| faithful |" in card
    assert "| realistic |" not in card
    assert "not been measured" in card
    assert "gaussian, sigma 25 |" in card
