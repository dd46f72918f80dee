from __future__ import annotations

import io
import struct
import zlib
from fractions import Fraction

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

from degrain.files import read_image
from degrain.pictures import encode_picture, read_picture, write_picture

RNG = np.random.default_rng(11)
COLOUR = RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8)
SMOOTH = np.asarray(Image.fromarray(COLOUR[:3, :4]).resize((32, 24), Image.Resampling.BICUBIC))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><!-- ours --></x:xmpmeta>'

MAKER, TURNED, TAKEN, EXPOSURE, LENS = 0x010F, 0x0112, 0x9003, 0x829A, 0xA434
EXIF_DIRECTORY, GPS_DIRECTORY = 0x8769, 0x8825


def exif():
    tags = Image.Exif()
    tags[MAKER] = "Maker"
    tags[TURNED] = 6
    details = tags.get_ifd(EXIF_DIRECTORY)
    details[TAKEN], details[EXPOSURE], details[LENS] = "2020:01:02 03:04:05", 0.25, "a lens of a long name"
    position = tags.get_ifd(GPS_DIRECTORY)
    position[1] = "N"
    # Pillow's writer of TIFF wants them among the tags too.
    tags[EXIF_DIRECTORY], tags[GPS_DIRECTORY] = details, position
    return tags


def restored(path, change=0.1):
    """The file at `path` written beside it with changed pixels."""
    picture = read_picture(path)
    target = path.with_stem("restored")
    write_picture(target, picture, np.float32(change) + (1 - 2 * np.float32(change)) * picture.pixels)
    return target


def check_exif(image):
    tags = image.getexif()
    assert (tags[MAKER], tags[TURNED]) == ("Maker", 6)
    details = tags.get_ifd(EXIF_DIRECTORY)
    assert details[TAKEN] == "2020:01:02 03:04:05"
    assert float(details[EXPOSURE]) == 0.25
    assert details[LENS] == "a lens of a long name"
    assert tags.get_ifd(GPS_DIRECTORY)[1] == "N"


def png_text():
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "a title")
    text.add_itxt("Comment", "ein Käfer", "de", zip=True)
    text.add_text("Long", "x" * 2000, zip=True)
    text.add(b"gAMA", struct.pack(">I", 45455))
    text.add(b"tIME", struct.pack(">H5B", 2020, 1, 2, 3, 4, 5))
    return text


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_png_keeps_mode_alpha_and_metadata(tmp_path, mode):
    image = Image.fromarray(COLOUR).convert(mode)
    if mode.endswith("A"):
        image.putalpha(Image.fromarray(COLOUR[..., 1]))
    options = {"exif": exif(), "icc_profile": SRGB, "dpi": (300, 200), "pnginfo": png_text()}
    image.save(tmp_path / "x.png", **options)
    with Image.open(tmp_path / "x.png") as before, Image.open(restored(tmp_path / "x.png")) as after:
        before.load()
        after.load()
        assert after.mode == mode
        check_exif(after)
        assert after.info == before.info
        assert after.info["Comment"].lang == "de"
        if mode.endswith("A"):
            assert after.getchannel("A").tobytes() == COLOUR[..., 1].tobytes()
    names = [name for name, _ in chunks((tmp_path / "restored.png").read_bytes())]
    assert {b"gAMA", b"tIME", b"iTXt", b"zTXt", b"tEXt", b"pHYs", b"iCCP", b"eXIf"} <= set(names)
    assert names[0] == b"IHDR"
    assert names[-1] == b"IEND"
    assert names.index(b"iCCP") < names.index(b"IDAT")


def chunks(data):
    """(name, contents) of a PNG, its checksums checked."""
    at = 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        name, contents = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert int.from_bytes(data[at + 8 + size : at + 12 + size], "big") == zlib.crc32(name + contents)
        yield name, contents
        at += 12 + size


def with_chunk(path, name, contents, before):
    """Put a chunk into a PNG before the first one called so."""
    at = path.read_bytes().index(before) - 4
    new = struct.pack(">I", len(contents)) + name + contents + struct.pack(">I", zlib.crc32(name + contents))
    path.write_bytes(path.read_bytes()[:at] + new + path.read_bytes()[at:])


def test_text_after_the_pixels_of_a_png_is_kept(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "x.png")
    with_chunk(tmp_path / "x.png", b"tEXt", b"Title\0late", before=b"IEND")
    with Image.open(restored(tmp_path / "x.png")) as image:
        image.load()
        assert image.info["Title"] == "late"


def test_chunks_that_depend_on_the_pixels_are_not_kept(tmp_path):
    path = tmp_path / "x.png"
    Image.fromarray(COLOUR).quantize(9).save(path)
    with_chunk(path, b"iDOT", bytes(28), before=b"IDAT")  # Apple's table of where the pixels stand
    with_chunk(path, b"bKGD", b"\3", before=b"IDAT")  # the number of a colour in the palette
    names = {name for name, _ in chunks(restored(path).read_bytes())}
    assert names == {b"IHDR", b"IDAT", b"IEND"}
    Image.fromarray(COLOUR).save(path)
    with_chunk(path, b"bKGD", bytes(6), before=b"IDAT")
    assert b"bKGD" in {name for name, _ in chunks(restored(path).read_bytes())}


@pytest.mark.parametrize(
    ("mode", "transparency"), [("P", 3), ("P", None), ("1", None), ("L", 7), ("RGB", (1, 2, 3))]
)
def test_palettes_and_transparent_colours_become_channels(tmp_path, mode, transparency):
    image = Image.fromarray(COLOUR).convert("RGB" if mode == "RGB" else mode)
    image.save(tmp_path / "x.png", **({} if transparency is None else {"transparency": transparency}))
    picture = read_picture(tmp_path / "x.png")
    write_picture(tmp_path / "y.png", picture, picture.pixels)
    grey = mode in ("1", "L")
    expected = ("L" if grey else "RGB") + ("" if transparency is None else "A")
    with Image.open(tmp_path / "y.png") as after, Image.open(tmp_path / "x.png") as before:
        assert after.mode == expected
        assert "transparency" not in after.info
        assert after.tobytes() == before.convert(expected).tobytes()


def test_jpeg_keeps_metadata_and_size_and_is_close(tmp_path):
    image = Image.fromarray(SMOOTH)
    options = {"exif": exif(), "icc_profile": SRGB, "dpi": (240, 240), "comment": b"a comment", "xmp": XMP}
    image.save(tmp_path / "x.jpg", quality=98, **options)
    target = restored(tmp_path / "x.jpg", change=0)
    with Image.open(tmp_path / "x.jpg") as before, Image.open(target) as after:
        assert after.size == before.size
        check_exif(after)
        kept = ("exif", "icc_profile", "dpi", "comment", "xmp", "jfif_density")
        assert {key: after.info[key] for key in kept} == {key: before.info[key] for key in kept}
        assert [layer[1:3] for layer in after.layer] == [(1, 1)] * 3  # 4:4:4
        np.testing.assert_allclose(np.asarray(after, float), np.asarray(before, float), atol=8)


def test_jpeg_without_metadata_and_in_grey(tmp_path):
    Image.fromarray(SMOOTH[..., 0]).save(tmp_path / "x.jpg")
    with Image.open(restored(tmp_path / "x.jpg")) as after:
        assert after.mode == "L"
        assert not after.getexif()


def test_cmyk_jpeg_comes_out_as_rgb_without_the_profile_of_the_inks(tmp_path):
    image = Image.fromarray(SMOOTH).convert("CMYK")
    image.save(tmp_path / "x.jpg", icc_profile=b"inks" * 50, exif=exif(), quality=98)
    assert b"Adobe" in (tmp_path / "x.jpg").read_bytes()
    assert b"Adobe" not in restored(tmp_path / "x.jpg").read_bytes()  # it says what the channels are
    with Image.open(restored(tmp_path / "x.jpg", change=0)) as after:
        assert after.mode == "RGB"
        assert "icc_profile" not in after.info
        check_exif(after)
        np.testing.assert_allclose(np.asarray(after, float), SMOOTH.astype(float), atol=8)


def test_a_phones_further_pictures_are_not_promised_any_more(tmp_path):
    first, second = Image.fromarray(SMOOTH), Image.fromarray(SMOOTH[:5, :5])
    first.save(tmp_path / "x.jpg", format="MPO", save_all=True, append_images=[second], exif=exif())
    with Image.open(restored(tmp_path / "x.jpg")) as after:
        assert after.format == "JPEG"
        check_exif(after)
        assert after.size == first.size


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("lossless", [True, False])
def test_webp_keeps_metadata_alpha_and_losslessness(tmp_path, lossless, mode):
    image = Image.fromarray(SMOOTH)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(SMOOTH[..., 1]))
    options = {"exif": exif(), "icc_profile": SRGB, "xmp": XMP}
    image.save(tmp_path / "x.webp", lossless=lossless, exact=True, **options)
    target = restored(tmp_path / "x.webp", change=0)
    with Image.open(tmp_path / "x.webp") as before, Image.open(target) as after:
        check_exif(after)
        assert after.mode == mode
        assert {key: after.info[key] for key in options} == {key: before.info[key] for key in options}
        same = after.tobytes() == before.tobytes()
        if mode == "RGBA":
            assert after.getchannel("A").tobytes() == before.getchannel("A").tobytes()
    assert same == lossless
    assert (b"VP8L" in target.read_bytes()) == lossless


def tags_of(path):
    with tifffile.TiffFile(path) as file:
        return {tag.code: tag.value for tag in file.pages.first.tags}


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd"])
def test_tiff_keeps_compression_and_metadata(tmp_path, compression):
    options = {"icc_profile": SRGB, "dpi": (300, 200), "description": "Käfer, grün", "artist": "us"}
    # Pillow writes EXIF into a TIFF only if it is not compressed.
    options |= {"exif": exif()} if compression == "raw" else {}
    Image.fromarray(COLOUR).save(tmp_path / "x.tif", compression=compression, **options)
    target = restored(tmp_path / "x.tif")
    before, after = tags_of(tmp_path / "x.tif"), tags_of(target)
    same = {259, 270, 282, 283, 296, 315, 34675}  # compression to colour profile
    assert {code: after[code] for code in same} == {code: before[code] for code in same}
    with Image.open(target) as image:
        assert image.info["dpi"] == (300, 200)
        assert image.info["icc_profile"] == SRGB
        if compression == "raw":
            check_exif(image)
    expected = np.rint(255 * (0.1 + 0.8 * COLOUR / 255))
    np.testing.assert_allclose(tifffile.imread(target), expected, atol=1)


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_exif_directories_are_kept_in_every_kind_of_tiff(tmp_path, byteorder, bigtiff):
    # Written as a private tag that gets its number and its directory afterwards.
    count, offset = ("Q", "Q") if bigtiff else ("H", "I")
    tag = (65000, offset, 1, 0xDEADBEE0, True)
    options = {"byteorder": byteorder, "bigtiff": bigtiff, "photometric": "rgb", "metadata": None}
    tifffile.imwrite(tmp_path / "x.tif", COLOUR, extratags=[tag], **options)
    data = (tmp_path / "x.tif").read_bytes()
    at = data.index(struct.pack(f"{byteorder}{offset}", 0xDEADBEE0))
    data = data[:at] + struct.pack(f"{byteorder}{offset}", len(data)) + data[at + struct.calcsize(offset) :]
    data = data.replace(struct.pack(f"{byteorder}H", 65000), struct.pack(f"{byteorder}H", 34665))
    model = b"a model of many letters\0"
    directory = struct.pack(f"{byteorder}{count}HH{offset}{offset}", 1, 42035, 2, len(model), 0)
    place = len(data) + len(directory) + struct.calcsize(offset)
    directory = directory[: -struct.calcsize(offset)] + struct.pack(f"{byteorder}{offset}{offset}", place, 0)
    (tmp_path / "x.tif").write_bytes(data + directory + model)
    assert tags_of(tmp_path / "x.tif")[34665] == {"LensMake": "a model of many letters"}
    assert tags_of(restored(tmp_path / "x.tif"))[34665] == {"LensMake": "a model of many letters"}


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_every_kind_of_tiff_keeps_its_kind(tmp_path, byteorder, bigtiff, dtype):
    top = 1 if dtype == "f4" else np.iinfo(dtype).max
    samples = (RNG.random((9, 8, 4)) * top).astype(dtype)
    tags = [
        (65000, "d", 2, (0.5, 2.5), True),
        (65001, "s", 0, "private", True),
        (33432, "s", 0, "ours", True),
    ]
    tifffile.imwrite(
        tmp_path / "x.tif",
        samples,
        byteorder=byteorder,
        bigtiff=bigtiff,
        photometric="rgb",
        extrasamples=["assocalpha"],
        compression="lzw",
        predictor=True,
        resolution=(Fraction(7, 3), 5),
        description="short",
        extratags=tags,
        metadata=None,
    )
    target = restored(tmp_path / "x.tif")
    before, after = tags_of(tmp_path / "x.tif"), tags_of(target)
    same = set(before) - {273, 278, 279}  # where the pixels are
    assert {code: after[code] for code in same} == {code: before[code] for code in same}
    with tifffile.TiffFile(target) as file:
        assert file.pages.first.offset % 2 == 0  # as the format demands
        assert (file.byteorder, file.is_bigtiff) == (byteorder, bigtiff)
        assert file.asarray().dtype == samples.dtype
        np.testing.assert_array_equal(file.asarray()[..., 3], samples[..., 3])


def test_lossy_tiff_becomes_deflate_rather_than_losing_again(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", SMOOTH, photometric="rgb", compression="jpeg")
    before = read_image(tmp_path / "x.tif")
    target = restored(tmp_path / "x.tif", change=0)
    assert tags_of(target)[259] == 8
    np.testing.assert_array_equal(read_image(target), before)


def test_cmyk_and_palette_tiff_come_out_as_rgb(tmp_path):
    Image.fromarray(SMOOTH).convert("CMYK").save(tmp_path / "x.tif", icc_profile=b"inks" * 50)
    Image.fromarray(SMOOTH).quantize(9).save(tmp_path / "p.tif")
    for name in ("x.tif", "p.tif"):
        before = read_image(tmp_path / name)
        target = restored(tmp_path / name, change=0)
        tags = tags_of(target)
        assert tags[262] == 2
        assert not {34675, 320} & set(tags)
        np.testing.assert_array_equal(read_image(target), before)


def test_a_circle_of_tiff_directories_is_left(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "x.tif", exif=exif())
    data = bytearray((tmp_path / "x.tif").read_bytes())
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        pointer, page = file.pages.first.tags[34665].offset + 8, file.pages.first.offset
    struct.pack_into("<I", data, pointer, page)  # the EXIF directory is the page itself
    (tmp_path / "x.tif").write_bytes(data)
    np.testing.assert_array_equal(read_picture(restored(tmp_path / "x.tif", change=0)).pixels * 255, COLOUR)


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif", "x.webp"])
def test_the_orientation_is_kept_and_not_applied(tmp_path, name):
    Image.fromarray(SMOOTH).save(tmp_path / name, exif=exif())
    target = restored(tmp_path / name, change=0)
    with Image.open(target) as after:
        assert after.getexif()[TURNED] == 6
    assert read_picture(target).pixels.shape == (24, 32, 3)
    after, before = read_image(target), read_image(tmp_path / name)
    assert before.shape == (32, 24, 3)
    np.testing.assert_allclose(after, before, atol=0.08)


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif", "x.webp"])
def test_a_single_pixel_comes_through(tmp_path, name):
    Image.new("RGB", (1, 1), (10, 200, 90)).save(tmp_path / name)
    after = read_image(restored(tmp_path / name, change=0))
    np.testing.assert_allclose(after, read_image(tmp_path / name), atol=0.03)


@pytest.mark.parametrize("size", [(20_000, 1), (1, 20_000), (5000, 2)])
def test_the_narrowest_png_is_written(tmp_path, size):
    Image.fromarray(RNG.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / "x.png")
    np.testing.assert_array_equal(
        read_image(restored(tmp_path / "x.png", change=0)), read_image(tmp_path / "x.png")
    )


def test_pixels_of_another_shape_are_refused(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "x.png")
    picture = read_picture(tmp_path / "x.png")
    with pytest.raises(ValueError, match=r"expected \(24, 32, 3\)"):
        encode_picture(picture, picture.pixels[:-1])
    with pytest.raises(ValueError, match="not-a-number"):
        encode_picture(picture, picture.pixels * np.float32("nan"))
    with pytest.raises(ValueError, match="uint16 of shape"):
        encode_picture(picture, COLOUR.astype(np.uint16))


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif", "x.webp"])
def test_a_picture_in_memory_does_not_keep_the_bytes_of_its_file(tmp_path, name):
    Image.fromarray(RNG.integers(0, 256, (200, 300, 3), dtype=np.uint8)).save(tmp_path / name, quality=95)
    picture = read_picture(tmp_path / name)
    assert len(picture.source) < 2000 < (tmp_path / name).stat().st_size / 10


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif", "x.webp"])
def test_stored_pixels_are_written_as_floats_are(tmp_path, name):
    Image.fromarray(COLOUR).save(tmp_path / name)
    picture = read_picture(tmp_path / name)
    assert encode_picture(picture, picture.stored.pixels) == encode_picture(picture, picture.pixels)
    picture.stored.pixels[:] = 255 - picture.stored.pixels
    assert encode_picture(picture, picture.stored.pixels) == encode_picture(picture, picture.pixels)
