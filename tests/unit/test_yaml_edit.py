"""Setting values in the text of a YAML file."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from degrain.yaml_edit import EditError, overlaid, set_values

TEXT = """\
# about everything
seed: 0                 # of everything random

data:
  channels:   3         # 3: colour, 1: grey
  train: [embedded,  'folder:a b']   # where from
  val:
    - one               # the first
    - two
  # above test
  test: {sets: [x], n: 1e-3}
on_top: "a # b"
"""
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
VALUES = SCALARS | st.lists(SCALARS, max_size=4)


@pytest.mark.parametrize(
    ("values", "old", "new"),
    [
        ({"seed": 123}, "seed: 0                 #", "seed: 123               #"),
        ({"data": {"channels": 1}}, "  channels:   3", "  channels:   1"),
        (
            {"data": {"train": ["bsds500"]}},
            "train: [embedded,  'folder:a b']   #",
            "train: [bsds500]                   #",
        ),
        (
            {"data": {"train": ["a folder of quite a long name", "2"]}},
            "[embedded,  'folder:a b']   #",
            "[a folder of quite a long name, '2'] #",
        ),
        (
            {"data": {"val": ["three"]}},
            "val:\n    - one               # the first\n    - two",
            "val: [three]",
        ),
        ({"data": {"test": {"sets": ["x", "y"]}}}, "[x]", "[x, y]"),
        ({"on_top": True}, '"a # b"', "true"),
    ],
)
def test_one_value_changes_and_nothing_else(values, old, new):
    assert TEXT.count(old) == 1
    assert set_values(TEXT, values) == TEXT.replace(old, new)


def test_equal_values_keep_their_spelling():
    values = yaml.safe_load(TEXT)
    assert set_values(TEXT, values) == TEXT


def test_line_ends_and_a_missing_last_one_stay():
    text = "a: 1 # x\r\nb: [1]\r\nc: 2"
    assert set_values(text, {"a": 2, "b": [3, 4], "c": 5}) == "a: 2 # x\r\nb: [3, 4]\r\nc: 5"


@given(seed=VALUES, channels=VALUES, val=VALUES, n=VALUES, last=VALUES)
def test_what_is_set_is_what_is_read(seed, channels, val, n, last):
    values = {"seed": seed, "data": {"channels": channels, "val": val, "test": {"n": n}}, "on_top": last}
    after = set_values(TEXT, values)
    assert yaml.safe_load(after) == overlaid(yaml.safe_load(TEXT), values)
    for line in ("# about everything\n", "  # above test\n", "   # where from\n"):
        assert line in after


@pytest.mark.parametrize(
    "text",
    ["a: &x [1]\nb: *x\n", "c: 1\n", "x: &x\n  b: 1\na: 1\n<<: *x\n"],
    ids=["anchor", "missing", "merged"],
)
def test_what_cannot_be_set_in_place_is_refused(text):
    with pytest.raises(EditError, match="expected every key in it, with its value written beside it"):
        set_values(text, {"b": 2})
