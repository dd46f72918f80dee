from __future__ import annotations

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageOps

from degrain.files import (
    atomic_write,
    find_images,
    read_rows,
    sha256_bytes,
    sha256_file,
    to_array,
    to_channels,
    to_tensor,
    upright,
    write_csv,
    write_image,
    write_json,
    write_rows,
)

RNG = np.random.default_rng(7)
COLOUR = RNG.integers(0, 256, (13, 17, 3), dtype=np.uint8)


def test_atomic_write_makes_folders_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a" / "b.txt"
    with atomic_write(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def write_half(path):
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt


def test_failed_atomic_write_keeps_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "b.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_half(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_write_does_not_touch_a_hard_link_to_the_old_file(tmp_path):
    path, link = tmp_path / "b.txt", tmp_path / "cache.txt"
    path.write_text("old")
    link.hardlink_to(path)
    with atomic_write(path) as temporary:
        temporary.write_text("new")
    assert link.read_text() == "old"


def test_json_keeps_the_order_of_keys_and_refuses_what_is_not_json(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"b": 1, "a": [0.5, "ø"]})
    text = path.read_text(encoding="utf-8")
    assert list(json.loads(text)) == ["b", "a"]
    assert text.endswith("}\n")
    assert "ø" in text
    with pytest.raises(ValueError, match="float"):
        write_json(path, {"a": float("nan")})
    assert path.read_text(encoding="utf-8") == text


def test_tables_come_back_as_written(tmp_path):
    path = tmp_path / "x.csv"
    rows = [{"name": 'a "quoted", name', "reason": "two\nlines"}, {"name": "\udce9", "reason": ""}]
    write_rows(path, ["name", "reason"], rows)
    assert read_rows(path) == rows
    write_csv(path, pd.DataFrame({"x": [0.25], "y": ["a"]}))
    assert path.read_bytes() == b"x,y\n0.25,a\n"


def test_rows_with_an_unknown_column_are_refused(tmp_path):
    with pytest.raises(ValueError, match="typo"):
        write_rows(tmp_path / "x.csv", ["name"], [{"typo": 1}])


def test_sha256_is_the_standard_one(tmp_path):
    data = RNG.bytes(300_000)
    (tmp_path / "x").write_bytes(data)
    assert sha256_file(tmp_path / "x") == sha256_bytes(data) == hashlib.sha256(data).hexdigest()


def test_find_images_goes_by_extension_of_any_case_and_skips_what_is_hidden(tmp_path):
    wanted = ["B.JPEG", "a.png", "sub/c.TIFF", "sub/deep/d.webp", "sub/e.Jpg", "z.tif"]
    others = ["notes.txt", ".hidden.png", ".git/x.png", "sub/.x/y.png", "gif.gif", "noextension"]
    for name in wanted + others:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)] == sorted(wanted)


def test_find_images_follows_links_to_folders_once(tmp_path):
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "folder"
    elsewhere.mkdir()
    folder.mkdir()
    (elsewhere / "a.png").touch()
    (folder / "link").symlink_to(elsewhere)
    (elsewhere / "circle").symlink_to(folder)
    assert [path.relative_to(folder).as_posix() for path in find_images(folder)] == ["link/a.png"]


def test_written_images_are_clamped_and_rounded(tmp_path):
    values = np.array([[-0.5, 0.0, 0.4999 / 255, 0.5001 / 255, 1.0, 7.0]], np.float32)[..., None]
    write_image(tmp_path / "x.png", values)
    with Image.open(tmp_path / "x.png") as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), [[0, 0, 0, 1, 255, 255]])


def test_not_a_number_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not-a-number"):
        write_image(tmp_path / "x.png", np.full((2, 2, 3), np.nan, np.float32))
    assert not list(tmp_path.iterdir())


def test_grey_is_the_luma_of_pillow():
    image = Image.fromarray(COLOUR)
    grey = to_channels(COLOUR.astype(np.float32) / 255, 1)
    assert grey.shape == (13, 17, 1)
    np.testing.assert_allclose(grey[..., 0] * 255, np.asarray(image.convert("L")), atol=0.51)
    np.testing.assert_array_equal(to_channels(np.ones((2, 2, 3), np.float32), 1), np.ones((2, 2, 1)))


def test_grey_survives_a_way_through_colour():
    grey = RNG.random((5, 6, 1)).astype(np.float32)
    np.testing.assert_allclose(to_channels(to_channels(grey, 3), 1), grey, rtol=1e-6)
    assert to_channels(grey, 1) is grey


@pytest.mark.parametrize("channels", [1, 3])
def test_tensors_have_channels_first_and_come_back(channels):
    image = RNG.random((5, 6, channels)).astype(np.float32)
    tensor = to_tensor(image)
    assert tensor.shape == (1, channels, 5, 6)
    assert tensor[0, channels - 1, 2, 3] == torch.tensor(image[2, 3, channels - 1])
    np.testing.assert_array_equal(to_array(tensor), image)
    assert to_array(tensor.bfloat16().requires_grad_()).dtype == np.float32


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_turns_as_pillow_does(orientation):
    image = Image.fromarray(COLOUR)
    image.getexif()[0x112] = orientation
    np.testing.assert_array_equal(upright(COLOUR, orientation), np.asarray(ImageOps.exif_transpose(image)))
