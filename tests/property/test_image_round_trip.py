from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from degrain.codecs import decode
from degrain.codecs.png import encode_png
from degrain.errors import ImageFileError
from degrain.files import from_float, read_image, to_8_bit_pixels, to_channels, to_float, upright, write_image
from degrain.pictures import Picture, encode_picture

# The first example imports the codecs, and other processes may be busy.
at_leisure = settings(deadline=None)

SIDES = st.integers(1, 9)


def images(dtype, channels=(1, 3)):
    shapes = st.tuples(SIDES, SIDES, st.sampled_from(channels))
    return shapes.flatmap(lambda shape: hnp.arrays(dtype, shape))


def png(samples):
    return encode_png(samples)


def tiff(samples):
    buffer = io.BytesIO()
    count = samples.shape[2]
    options = {"photometric": "minisblack" if count < 3 else "rgb"}
    if count in (2, 4):
        options |= {"extrasamples": ["unassalpha"], "planarconfig": "contig"}
    tifffile.imwrite(buffer, samples[..., 0] if count == 1 else samples, compression="lzw", **options)
    return buffer.getvalue()


def webp(samples):
    buffer = io.BytesIO()
    Image.fromarray(samples).save(buffer, "WEBP", lossless=True, exact=True)
    return buffer.getvalue()


def picture(data, tmp_path):
    stored = decode(data, tmp_path / "x")
    return Picture(stored, data)


def rewritten(data, folder):
    """Read, write with the same pixels, read again: the samples of both."""
    first = picture(data, folder)
    second = picture(encode_picture(first, first.pixels), folder)
    return all_samples(first.stored), all_samples(second.stored)


def all_samples(stored):
    return stored.pixels if stored.alpha is None else np.concatenate([stored.pixels, stored.alpha], axis=2)


@pytest.mark.parametrize("encode", [png, tiff])
@at_leisure
@given(samples=images(np.uint8, (1, 2, 3, 4)) | images(np.uint16, (1, 2, 3, 4)))
def test_lossless_formats_keep_every_sample(tmp_path_factory, encode, samples):
    before, after = rewritten(encode(samples), tmp_path_factory.getbasetemp())
    assert after.dtype == before.dtype == samples.dtype
    np.testing.assert_array_equal(before, samples)
    np.testing.assert_array_equal(after, samples)


@at_leisure
@given(samples=images(np.uint8, (3, 4)))
def test_lossless_webp_keeps_every_sample(tmp_path_factory, samples):
    before, after = rewritten(webp(samples), tmp_path_factory.getbasetemp())
    np.testing.assert_array_equal(after, before)
    np.testing.assert_array_equal(after[..., :3], samples[..., :3])


@at_leisure
@given(values=images(np.float32).map(lambda values: np.nan_to_num(values).clip(0, 1)))
def test_float_tiff_keeps_every_value(tmp_path_factory, values):
    _, after = rewritten(tiff(values), tmp_path_factory.getbasetemp())
    np.testing.assert_array_equal(after, values)


@at_leisure
@given(pixels=hnp.arrays(np.uint8, (4, 5, 3)) | hnp.arrays(np.uint16, (4, 5, 1)))
def test_floats_stand_for_integers_without_loss(pixels):
    image = to_float(pixels)
    assert image.dtype == np.float32
    assert 0 <= image.min() <= image.max() <= 1
    np.testing.assert_array_equal(from_float(image, pixels.dtype), pixels)


@at_leisure
@given(image=images(np.float32).filter(lambda image: not np.isnan(image).any()))
def test_a_written_image_is_within_half_a_step_of_the_clamped_one(tmp_path_factory, image):
    path = tmp_path_factory.getbasetemp() / "image.png"
    write_image(path, image)
    again = read_image(path)
    assert again.shape == image.shape
    assert np.abs(again - image.clip(0, 1)).max() <= 0.5 / 255 + 1e-6
    write_image(path, again)
    np.testing.assert_array_equal(read_image(path), again)


@at_leisure
@given(samples=images(np.uint8) | images(np.uint16), channels=st.sampled_from([1, 3]))
def test_bytes_for_the_data_set_are_those_of_the_image_read(tmp_path_factory, samples, channels):
    path = tmp_path_factory.getbasetemp() / "stored.png"
    path.write_bytes(imagecodecs.png_encode(samples if samples.shape[2] > 1 else samples[..., 0]))
    pixels = to_8_bit_pixels(decode(path.read_bytes(), path), channels)
    np.testing.assert_array_equal(pixels, np.rint(to_channels(read_image(path), channels) * 255))


@at_leisure
@given(pixels=images(np.uint8), orientation=st.integers(1, 8))
def test_turning_upright_moves_pixels_and_changes_none(pixels, orientation):
    turned = upright(pixels, orientation)
    assert sorted(turned.shape[:2]) == sorted(pixels.shape[:2])
    np.testing.assert_array_equal(np.sort(turned, axis=None), np.sort(pixels, axis=None))
    back = {6: 8, 8: 6}.get(orientation, orientation)
    np.testing.assert_array_equal(upright(turned, back), pixels)


def gradient(kind, **options):
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((24, 20)).convert("RGB").save(buffer, kind, **options)
    return buffer.getvalue()


WHOLE = [
    gradient("PNG"),
    gradient("JPEG", comment=b"a comment"),
    gradient("WEBP"),
    gradient("TIFF", compression="tiff_lzw", description="a description"),
]


@settings(deadline=None, max_examples=200)
@given(whole=st.sampled_from(WHOLE), changes=st.lists(st.tuples(st.integers(0, 3000), st.binary(max_size=4))))
def test_damaged_files_are_refused_or_read_and_written_but_nothing_else(tmp_path_factory, whole, changes):
    data = bytearray(whole)
    for at, new in changes:
        data[at % len(data) : at % len(data) + 4] = new
    try:
        damaged = picture(bytes(data), tmp_path_factory.getbasetemp())
    except ImageFileError:
        return
    assert 0 <= damaged.pixels.min() <= damaged.pixels.max() <= 1
    after = picture(encode_picture(damaged, damaged.pixels), tmp_path_factory.getbasetemp())
    assert after.pixels.shape == damaged.pixels.shape
