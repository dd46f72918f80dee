"""params.yaml: what is accepted, and what an error says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from degrain.build.released import LEGS
from degrain.params import ParamsError, load_params, parse_params
from degrain.standard_sets import RELEASED_ON, STANDARD_SETS
from support import merged


def test_shipped_params_are_valid(default_values: dict[str, Any]) -> None:
    assert parse_params(default_values).model_dump(mode="json").keys() == default_values.keys()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train": {"lrr": 1}}, "params.yaml: train.lrr is not a setting; did you mean train.lr?"),
        ({"sed": 1}, "params.yaml: sed is not a setting; did you mean seed?"),
        (
            {"train": {"adversarial": {"loss": "hing"}}},
            "params.yaml: train.adversarial.loss = 'hing'; expected one of: minimax, non-saturating, lsgan",
        ),
        (
            {"data": {"train": "embeded"}},
            "params.yaml: data.train[0] = 'embeded'; expected embedded, folder:PATH or one of: train400",
        ),
        (
            {"pretrain": {"patch_size": 62}},
            "params.yaml: pretrain.patch_size = 62; expected a multiple of 8, the stride of model.unet",
        ),
        (
            {"train": {"patch_size": 128}},
            "params.yaml: train.patch_size = 128; expected at most patches.side_px = 96",
        ),
        (
            {
                "model": {"unet": {"stem_stride": 1}},
                "train": {"patch_size": 4, "discriminator": {"kind": "dcgan"}},
            },
            "train.patch_size = 4; discriminators take multiples of 4, patchgan from 32 on, dcgan",
        ),
        (
            {"patches": {"side_px": 100}},
            "params.yaml: patches.side_px = 100; expected at most data.min_side = 96",
        ),
        (
            {"noise": {"poisson-gaussian": 1}},
            "params.yaml: noise.poisson-gaussian is not a setting; did you mean noise.poisson_gaussian?",
        ),
        ({"pre train": 1}, "params.yaml: pre train is not a setting; did you mean pretrain?"),
        (
            {
                "model": {"unet": {"widths": [8] * 6, "blocks": [1] * 6}},
                "pretrain": {"patch_size": 64},
                "validation": {"crop_px": 32},
            },
            "params.yaml: validation.crop_px = 32; expected at least 64, the stride of model.unet",
        ),
        (
            {"model": {"unet": {"widths": [8, 12], "blocks": [1, 2], "equivariant": True}}},
            "widths = [8, 12]; expected multiples of 8",
        ),
        (
            {"model": {"unet": {"widths": [8, 16], "blocks": [1, 2, 3]}}},
            "blocks = [1, 2, 3]; expected 2 numbers, one for each of widths",
        ),
        (
            {"data": {"train": "BSD500"}},
            "data.train[0] = 'BSD500'; expected embedded, folder:PATH or one of:",
        ),
        ({"data": {"train": "BSD500"}}, "; did you mean bsds500?"),
        (
            {"data": {"train": ["embedded", "set12"], "channels": 1}},
            "params.yaml: data.train: set12 is for test only; take bsds500 (or, in grey, train400) instead",
        ),
        ({"data": {"test": "bsds500"}}, "data.test: bsds500 is for train and val only; take bsd68 or set12"),
        ({"data": {"test": "bsd68"}}, "data.test: bsd68 is grey; set data.channels to 1"),
        (
            {"data": {"val": "bsds500-val", "test": ["kodak24", "cbsd68"]}},
            "data.val: bsds500-val shares its scenes with data.test: cbsd68 (both are pictures of BSDS500",
        ),
        (
            {"data": {"train": "train400", "val": "bsds500", "channels": 1}},
            "data.train: train400 shares its scenes with data.val: bsds500",
        ),
        ({"noise": {"jpeg": {"test": [0]}}}, "expected qualities from 1 to 95"),
        ({"noise": {"chain": {"kinds": ["chain"]}}}, "a chain cannot hold a chain"),
        ({"seed": -1}, "params.yaml: seed = -1;"),
        ({"pretrain": {"lr": float("nan")}}, "params.yaml: pretrain.lr = nan;"),
    ],
)
def test_error_names_key_and_remedy(
    default_values: dict[str, Any], changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ParamsError) as caught:
        parse_params(_changed(default_values, changes))
    assert said in str(caught.value)


def _changed(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    known = {key: {} for key, value in changes.items() if isinstance(value, dict)}
    return merged(known | base, changes)


def test_missing_key_is_named(default_values: dict[str, Any]) -> None:
    values = {key: value for key, value in default_values.items() if key != "noise"}
    with pytest.raises(ParamsError, match=r"params\.yaml: noise is missing"):
        parse_params(values)


def test_every_problem_has_a_line(default_values: dict[str, Any]) -> None:
    values = merged(default_values, {"seed": "x", "compute": {"threads": 0}})
    with pytest.raises(ParamsError) as caught:
        parse_params(values)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    "sets",
    [
        {"train": "train400", "val": "embedded", "test": ["bsd68", "set12"], "channels": 1},
        {"train": "embedded", "val": "bsds500", "test": "embedded"},
        {"train": "bsds500", "val": "bsds500", "test": ["cbsd68", "kodak24", "mcmaster", "cc15"]},
        {"train": ["bsds500", "bsds500-val"], "val": "bsds500", "test": "kodak24"},
        {"train": "polyu", "val": "polyu", "test": "polyu"},
        {"train": "mnist", "val": "mnist", "test": "mnist", "channels": 1},
    ],
)
def test_standard_sets_go_together_where_they_share_no_scene(
    default_values: dict[str, Any], sets: dict[str, Any]
) -> None:
    parse_params(merged(default_values, {"data": sets}))


@pytest.mark.parametrize("train", ["train400", "embedded"])
def test_what_the_starting_weights_have_seen_does_not_validate(
    default_values: dict[str, Any], train: str
) -> None:
    data = {"data": {"train": train, "val": "train400", "test": "bsd68", "channels": 1}}
    with pytest.raises(ParamsError) as caught:
        parse_params(merged(default_values, data))
    assert str(caught.value) == (
        "params.yaml: data.val: train400 shares its scenes with bsds500, on which the weights of "
        "pretrain.start: auto trained, so measuring on train400 would be cheating; set pretrain.start: none, "
        "or take another set, such as bsds500, of which a part was held out"
    )
    parse_params(merged(default_values, data | {"pretrain": {"start": "none"}}))


@pytest.mark.parametrize("start", ["auto", "none"])
@pytest.mark.parametrize("name", ["bsds500", "train400"])
def test_what_the_starting_weights_have_seen_does_not_test(
    default_values: dict[str, Any], name: str, start: str
) -> None:
    changes = {"data": {"test": name, "channels": 1}, "pretrain": {"start": start}}
    with pytest.raises(ParamsError, match=f"data.test: {name} is for train and val only") as caught:
        parse_params(merged(default_values, changes))
    said = f"data.test: {name} shares its scenes with bsds500, on which the weights of pretrain.start: auto"
    assert (said in str(caught.value)) == (start == "auto")


def test_the_starting_weights_have_seen_no_set_but_the_one_that_is_guarded() -> None:
    legs = json.loads(LEGS.read_text(encoding="utf-8"))
    assert {tuple(leg["data"]["train"]) for name in legs for leg in legs[name]} == {(RELEASED_ON,)}
    assert "val" in STANDARD_SETS[RELEASED_ON].splits


def test_single_set_needs_no_brackets(default_values: dict[str, Any]) -> None:
    params = parse_params(merged(default_values, {"data": {"train": "folder:photos"}}))
    assert params.data.train == ("folder:photos",)


def test_number_in_exponent_notation_is_a_number(default_values: dict[str, Any], tmp_path: Path) -> None:
    # PyYAML reads 1e-4, without a point, as text.
    values = merged(default_values, {"pretrain": {"lr": "1e-4"}})
    assert parse_params(values).pretrain.lr == pytest.approx(1e-4)


def test_params_are_frozen(default_values: dict[str, Any]) -> None:
    params = parse_params(default_values)
    with pytest.raises(ValueError, match="frozen"):
        params.train.lr = 1.0  # type: ignore[misc]


def test_file_that_is_missing_or_no_yaml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"params\.yaml: not found"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [1", encoding="utf-8")
    with pytest.raises(ParamsError, match="not valid YAML"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("", encoding="utf-8")
    with pytest.raises(ParamsError, match=r"params\.yaml: the file"):
        load_params(tmp_path / "params.yaml")


def test_no_setting_has_a_name_that_dvc_leaves_out_of_its_hashes(default_values: dict[str, Any]) -> None:
    """Its run cache drops these keys at every depth, and would take another value for the same run."""

    def names(values: Any) -> set[str]:
        return set().union(values, *map(names, values.values())) if isinstance(values, dict) else set()

    assert "side_px" in names(default_values)
    assert not names(default_values) & {"size", "nfiles"}
