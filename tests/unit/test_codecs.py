from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from degrain.codecs import claimed_size, decode
from degrain.errors import DegrainError, ImageFileError
from degrain.files import read_image

RNG = np.random.default_rng(7)
COLOUR = RNG.integers(0, 256, (13, 17, 3), dtype=np.uint8)
COLOUR_16 = RNG.integers(0, 65536, (13, 17, 3), dtype=np.uint16)


def png_16_bit(samples, *chunks):
    """An independent writer of 16-bit PNG: unfiltered, in one piece."""
    height, width, channels = samples.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def chunk(name, contents):
    return struct.pack(">I", len(contents)) + name + contents + struct.pack(">I", zlib.crc32(name + contents))


def saved(folder, image, name, **options):
    path = folder / name
    image.save(path, **options)
    return path


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_modes_of_8_bits_are_read_as_pillow_reads_them(tmp_path, mode, name):
    image = Image.fromarray(COLOUR).convert(mode)
    channels = "L" if mode in ("1", "L", "LA") else "RGB"
    expected = np.asarray(image.convert(channels)).reshape(13, 17, -1)
    read = read_image(saved(tmp_path, image, name))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read * 255, expected)


@pytest.mark.parametrize("transparency", [3, bytes([0, 128, 255])])
def test_transparent_palettes_are_read_as_their_colours(tmp_path, transparency):
    image = Image.fromarray(COLOUR).quantize(16)
    path = saved(tmp_path, image, "x.png", transparency=transparency)
    np.testing.assert_array_equal(read_image(path) * 255, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_is_read_as_pillow_reads_it(tmp_path, mode):
    path = saved(tmp_path, Image.fromarray(COLOUR).convert(mode), "x.jpg")
    with Image.open(path) as image:
        expected = np.asarray(image.convert("L" if mode == "L" else "RGB"), dtype=float).reshape(13, 17, -1)
    tolerance = 1 if mode == "CMYK" else 0  # Pillow rounds the product of the inks otherwise
    np.testing.assert_allclose(read_image(path) * 255, expected, atol=tolerance)


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_webp_is_read_as_pillow_reads_it(tmp_path, mode, lossless):
    path = saved(tmp_path, Image.fromarray(COLOUR).convert(mode), "x.webp", lossless=lossless)
    with Image.open(path) as image:
        np.testing.assert_array_equal(read_image(path) * 255, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_png_is_read_to_the_last_bit(tmp_path, channels):
    samples = np.concatenate([COLOUR_16, COLOUR_16[::-1]], axis=2)[..., :channels]
    (tmp_path / "x.png").write_bytes(png_16_bit(samples))
    colours = samples[..., : 1 if channels < 3 else 3]
    np.testing.assert_array_equal(np.rint(read_image(tmp_path / "x.png") * 65535), colours)


@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "packbits", "zstd"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_16_bit_tiff_is_read_to_the_last_bit(tmp_path, byteorder, compression):
    options = {"photometric": "rgb", "byteorder": byteorder, "compression": compression}
    tifffile.imwrite(tmp_path / "x.tif", COLOUR_16, **options)
    np.testing.assert_array_equal(np.rint(read_image(tmp_path / "x.tif") * 65535), COLOUR_16)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_float_tiff_within_0_and_1_is_read(tmp_path, dtype):
    values = RNG.random((5, 6, 3)).astype(dtype)
    tifffile.imwrite(tmp_path / "x.tif", values, photometric="rgb")
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif"), values.astype(np.float32))


def test_tiff_where_0_is_white_is_inverted(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", COLOUR[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif")[..., 0] * 255, 255 - COLOUR[..., 0])


def test_planar_tiled_and_jpeg_compressed_tiff_are_read(tmp_path):
    planes = np.moveaxis(COLOUR, 2, 0)
    tifffile.imwrite(tmp_path / "x.tif", planes, photometric="rgb", planarconfig="separate", tile=(16, 16))
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif") * 255, COLOUR)
    flat = np.full((16, 16, 3), (200, 30, 90), np.uint8)
    tifffile.imwrite(tmp_path / "y.tif", flat, photometric="rgb", compression="jpeg")
    np.testing.assert_allclose(read_image(tmp_path / "y.tif") * 255, flat, atol=3)


def test_12_bits_are_stretched_to_the_whole_range(tmp_path):
    samples = np.array([[0, 4095, 2048]], np.uint16)
    tifffile.imwrite(tmp_path / "x.tif", samples, bitspersample=12, photometric="minisblack")
    np.testing.assert_allclose(read_image(tmp_path / "x.tif")[..., 0], samples / 4095, atol=1e-5)


def test_a_thumbnail_beside_the_page_of_a_tiff_is_passed_over(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.tif") as writer:
        writer.write(COLOUR, photometric="rgb")
        writer.write(COLOUR[::4, ::4], photometric="rgb", subfiletype=1)
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif") * 255, COLOUR)


def test_palettes_of_tiff_that_were_written_with_8_bits_are_read(tmp_path):
    indices, palette = COLOUR[..., 0], RNG.integers(0, 256, (3, 256), dtype=np.uint8)
    for name, factor in (("8.tif", 1), ("16.tif", 257)):
        colormap = palette.astype(np.uint16) * factor
        tifffile.imwrite(tmp_path / name, indices, photometric="palette", colormap=colormap)
        np.testing.assert_array_equal(read_image(tmp_path / name) * 255, palette.T[indices])


def test_a_tiff_without_some_of_its_pixels_is_not_read_as_black(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", COLOUR, photometric="rgb", compression="lzw")
    with tifffile.TiffFile(tmp_path / "x.tif", mode="r+") as file:
        file.pages.first.tags["StripByteCounts"].overwrite(0)
    with pytest.raises(ImageFileError, match="truncated TIFF"):
        read_image(tmp_path / "x.tif")


def test_16_bit_cmyk_tiff_becomes_rgb(tmp_path):
    inks = np.concatenate([COLOUR_16, COLOUR_16[::-1, :, :1] // 2], axis=2)
    tifffile.imwrite(tmp_path / "x.tif", inks, photometric="separated")
    share = inks / 65535
    expected = (1 - share[..., :3]) * (1 - share[..., 3:])
    np.testing.assert_allclose(read_image(tmp_path / "x.tif"), expected, atol=1e-5)


def profile_of_inks():
    """A CMYK colour profile: neutral inks, whose lightness is the product of what they let through."""
    grid = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    lightness = np.rint(255 * (1 - grid * 0.7).prod(axis=1)).astype(np.uint8)
    lab = np.stack([lightness, np.full(16, 128, np.uint8), np.full(16, 128, np.uint8)], axis=1)
    ramp = bytes(range(256))
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + ramp * 4 + lab.tobytes() + ramp * 3
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"inks\0" + bytes(78)
    start, body, directory = 132 + 12 * 3, b"", struct.pack(">I", 3)
    for name, value in ((b"desc", text), (b"wtpt", white), (b"A2B0", table)):
        directory += name + struct.pack(">II", start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    size = start + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    head += struct.pack(">6H4s", 2020, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    head += struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + directory + body


def test_cmyk_is_converted_by_its_profile_where_there_is_one(tmp_path):
    inks = Image.fromarray(
        np.repeat(np.repeat(RNG.integers(0, 256, (4, 4, 4), np.uint8), 8, 0), 8, 1), "CMYK"
    )
    profile = profile_of_inks()
    path = saved(tmp_path, inks, "x.jpg", icc_profile=profile, quality=100)
    with Image.open(path) as image:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        expected = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    read = read_image(path) * 255
    np.testing.assert_allclose(read, np.asarray(expected), atol=1)
    assert read.std(axis=2).max() < 3  # neutral inks make grey, as without the profile they would not


def test_a_damaged_profile_does_not_lose_the_picture(tmp_path):
    image = Image.fromarray(COLOUR).convert("CMYK")
    plain = read_image(saved(tmp_path, image, "x.jpg"))
    np.testing.assert_array_equal(read_image(saved(tmp_path, image, "y.jpg", icc_profile=b"no" * 99)), plain)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.tif", "x.webp"])
def test_images_are_read_the_right_way_up(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    path = saved(tmp_path, Image.fromarray(COLOUR), name, exif=exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(read_image(path) * 255, expected)


def test_16_bit_png_is_read_the_right_way_up(tmp_path):
    exif = Image.Exif()
    exif[0x112] = 6
    data = png_16_bit(COLOUR_16, (b"eXIf", exif.tobytes()[6:]))
    (tmp_path / "x.png").write_bytes(data)
    expected = np.rot90(COLOUR_16, -1)
    np.testing.assert_array_equal(np.rint(read_image(tmp_path / "x.png") * 65535), expected)


def test_damaged_exif_and_impossible_orientations_count_for_nothing(tmp_path):
    exif = Image.Exif()
    exif[0x112] = 77
    image = Image.fromarray(COLOUR)
    for name, value in (("a.png", exif), ("b.png", b"Exif\0\0MM\0*\xff\xff\xff\xffnonsense")):
        np.testing.assert_array_equal(read_image(saved(tmp_path, image, name, exif=value)) * 255, COLOUR)


def test_the_contents_count_rather_than_the_extension(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "x.jpg", format="PNG")
    np.testing.assert_array_equal(read_image(tmp_path / "x.jpg") * 255, COLOUR)


def test_the_first_picture_of_a_phones_jpeg_counts(tmp_path):
    first, second = Image.fromarray(COLOUR), Image.fromarray(COLOUR[:5, :5])
    first.save(tmp_path / "x.jpg", format="MPO", save_all=True, append_images=[second])
    assert read_image(tmp_path / "x.jpg").shape == COLOUR.shape


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.webp", "x.tif", "y.tif", "16.png"])
def test_truncated_files_are_called_so(tmp_path, name):
    path, noise = tmp_path / name, RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    if name == "16.png":
        path.write_bytes(imagecodecs.png_encode(noise.astype(np.uint16)))
    else:
        Image.fromarray(noise).save(path, **({"compression": "tiff_lzw"} if name == "y.tif" else {}))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(
        ImageFileError, match=r"(truncated|corrupt) (PNG|JPEG|WebP|TIFF).*; delete it or fetch"
    ) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    if name != "y.tif":
        assert "truncated" in caught.value.reason


def test_a_flipped_bit_is_found_in_png(tmp_path):
    path = saved(tmp_path, Image.fromarray(COLOUR), "x.png")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ImageFileError, match="corrupt PNG"):
        read_image(path)


def claim_of_size(width, height):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def tiff(values, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **options)
    return buffer.getvalue()


def animation(kind):
    frames = [Image.fromarray(COLOUR), Image.fromarray(255 - COLOUR)]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"<html>404 not found</html>", "not a PNG, JPEG, WebP or TIFF image"),
        (b"GIF89a and so on", "not a PNG"),
        (b"\xff\xd8\xff", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "truncated PNG"),
        (b"RIFF\x10\0\0\0WEBP", "truncated WebP"),
        (b"II*\0", "TIFF"),
        (claim_of_size(60_000, 60_000), "60000x60000 pixels; at most 500 megapixels"),
        (tiff(np.zeros((3, 5, 6), np.uint8), photometric="minisblack"), "a TIFF of 3 pages; expected one"),
        (tiff(np.zeros((3, 5, 6), np.uint8), imagej=True), "a TIFF of 3 pages"),
        (tiff(np.full((4, 4), 1.5, "f4")), "values from 1.5 to 1.5; expected 0 to 1"),
        (tiff(np.full((4, 4), np.nan, "f4")), "expected 0 to 1"),
        (tiff(np.zeros((4, 4), np.uint32)), "uint32 samples; expected uint8, uint16 or floats"),
        (tiff(np.zeros((4, 4), np.int16)), "int16 samples"),
        (
            tiff(
                np.zeros((4, 6, 5), np.uint8), photometric="rgb", extrasamples=[2, 0], planarconfig="contig"
            ),
            "5 channels",
        ),
        (
            tiff(np.zeros((4, 6, 2), np.uint16), photometric="minisblack", extrasamples=[0]),
            "a TIFF of two channels, neither of them marked as alpha",
        ),
        (animation("PNG"), "an animated PNG"),
        (animation("WEBP"), "an animated WebP"),
    ],
)
def test_what_cannot_be_read_is_named_with_the_reason(tmp_path, data, reason):
    path = tmp_path / "x.png"
    path.write_bytes(data)
    with pytest.raises(ImageFileError) as caught:
        read_image(path)
    assert isinstance(caught.value, DegrainError)
    assert str(caught.value).startswith(f"{path}: ")
    assert reason in caught.value.reason
    assert caught.value.advice


def size_and_claim(data):
    height, width = decode(data, Path("x")).pixels.shape[:2]
    return (width, height), claimed_size(data, Path("x"))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("WebP", {}),
        ("WebP", {"lossless": True}),
        ("WebP", {"exif": b"Exif\0\0"}),
        ("TIFF", {}),
        ("TIFF", {"compression": "jpeg"}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_the_headers_claim_the_size_that_decoding_gives(kind, options, mode):
    buffer = io.BytesIO()
    image = Image.fromarray(COLOUR).convert("RGB" if mode == "RGBA" and kind == "JPEG" else mode)
    image.save(buffer, kind, **options)
    size, claim = size_and_claim(buffer.getvalue())
    assert size == claim == (17, 13)


def test_the_headers_claim_what_tiles_take():
    size, claim = size_and_claim(tiff(COLOUR, tile=(16, 32), photometric="rgb"))
    assert (size, claim) == ((17, 13), (32, 16))


def test_a_tiff_whose_size_only_decoding_shows_is_not_measured():
    data = tiff(COLOUR, compression="jpegxl", photometric="rgb")
    with pytest.raises(ImageFileError, match="whose size only decoding shows"):
        claimed_size(data, Path("x"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WebP", "TIFF"])
def test_cut_headers_are_an_image_error(kind):
    buffer = io.BytesIO()
    Image.fromarray(COLOUR).save(buffer, kind)
    for length in range(12):
        with pytest.raises(ImageFileError):
            claimed_size(buffer.getvalue()[:length], Path("x"))


def test_a_missing_file_is_an_image_error_too(tmp_path):
    with pytest.raises(ImageFileError, match=r"x\.png: no such file"):
        read_image(tmp_path / "x.png")


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif", "x.webp"])
def test_pillows_limit_on_the_size_does_not_count(tmp_path, monkeypatch, name):
    path = saved(tmp_path, Image.fromarray(COLOUR), name)
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 10)
    assert read_image(path).shape == COLOUR.shape


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif"])
def test_our_limit_on_the_size_counts(tmp_path, monkeypatch, name):
    path = saved(tmp_path, Image.fromarray(COLOUR), name)
    monkeypatch.setattr("degrain.codecs.stored.MAX_PIXELS", 13 * 17 - 1)
    with pytest.raises(ImageFileError, match="17x13 pixels; at most"):
        read_image(path)
