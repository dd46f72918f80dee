from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from degrain.codecs import sniff
from degrain.denoise import denoise_paths
from degrain.errors import DegrainError
from degrain.files import find_images, read_image
from degrain.restorers import load_restorer
from training_support import CPU

RNG = np.random.default_rng(5)


def invert(noisy, sigma):
    """Stands in for a network; takes the shapes it may."""
    assert noisy.dtype == np.float32
    assert noisy.ndim == 3
    assert noisy.shape[2] in (1, 3)
    return 1 - noisy


def keep(noisy, sigma):
    return noisy


def make(path, shape=(6, 7, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = RNG.integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(samples[..., 0] if shape[2] == 1 else samples).save(path)
    return path


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_folders_keep_their_structure_and_files_their_format(tmp_path):
    for name in ("a.png", "sub/b.jpg", "sub/deep/c.tif", "d.webp", "grey.png"):
        make(tmp_path / "in" / name, (6, 7, 1) if name == "grey.png" else (6, 7, 3))
    (tmp_path / "in" / "notes.txt").write_text("not an image")
    assert denoise_paths([tmp_path / "in"], tmp_path / "out", invert) == []
    assert names(tmp_path / "out") == ["a.png", "d.webp", "grey.png", "sub/b.jpg", "sub/deep/c.tif"]
    for name in ("a.png", "sub/deep/c.tif", "grey.png"):
        before, after = read_image(tmp_path / "in" / name), read_image(tmp_path / "out" / name)
        np.testing.assert_allclose(after, 1 - before, atol=1e-6)
    formats = {path.suffix: sniff(path.read_bytes()) for path in find_images(tmp_path / "out")}
    assert formats == {".png": "PNG", ".webp": "WebP", ".jpg": "JPEG", ".tif": "TIFF"}


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 9, 1), (9, 1, 3)])
def test_any_size_goes(tmp_path, shape):
    source = make(tmp_path / "x.png", shape)
    assert denoise_paths([source], tmp_path / "out", invert) == []
    np.testing.assert_allclose(read_image(tmp_path / "out" / "x.png"), 1 - read_image(source), atol=1e-6)


def test_a_grey_image_stored_in_colour_is_restored_as_the_grey_one_it_is(tmp_path):
    grey = make(tmp_path / "grey.png", (300, 9, 1))
    stored = np.repeat(np.asarray(Image.open(grey))[..., None], 3, axis=2)
    Image.fromarray(stored).save(tmp_path / "colour.png")
    stored[-1, -1, 2] ^= 1
    Image.fromarray(stored).save(tmp_path / "nearly.png")
    inputs = [tmp_path / name for name in ("grey.png", "colour.png", "nearly.png")]
    assert denoise_paths(inputs, tmp_path / "out", load_restorer(None, CPU)) == []
    grey, colour, nearly = (np.asarray(Image.open(tmp_path / "out" / path.name)) for path in inputs)
    np.testing.assert_array_equal(colour, np.repeat(grey[..., None], 3, axis=2))
    assert np.abs(nearly.astype(int) - colour).mean() > 1


def test_one_image_may_go_to_a_file(tmp_path):
    source = make(tmp_path / "x.JPG")
    assert denoise_paths([source], tmp_path / "new" / "y.jpeg", keep) == []
    assert names(tmp_path / "new") == ["y.jpeg"]


def test_strength_blends_and_none_keeps_every_sample(tmp_path):
    source = make(tmp_path / "x.png")
    before = read_image(source)
    for strength, expected in ((0, before), (0.25, 0.75 * before + 0.25 * (1 - before)), (1, 1 - before)):
        denoise_paths([source], tmp_path / "out", invert, strength=strength)
        after = read_image(tmp_path / "out" / "x.png")
        np.testing.assert_allclose(after, expected, atol=1e-6 if strength in (0, 1) else 0.51 / 255)


@pytest.mark.parametrize("sigma", [None, 0.1])
def test_sigma_reaches_the_network(tmp_path, sigma):
    seen = []
    source = make(tmp_path / "x.png")
    denoise_paths([source], tmp_path / "out", lambda noisy, sigma: seen.append(sigma) or noisy, sigma=sigma)
    assert seen == [sigma]


def test_images_without_noise_stay_as_they_are(tmp_path):
    source = make(tmp_path / "x.png")
    assert denoise_paths([source], tmp_path / "out", invert, sigma=0.0) == []
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "x.png"), read_image(source))


def test_links_have_outputs_of_their_own_and_circles_lose_no_other_image(tmp_path):
    one = make(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.png").symlink_to(one)
    (tmp_path / "in" / "z.png").symlink_to(tmp_path / "in" / "z.png")
    denoise_paths([tmp_path / "in", one], tmp_path / "out", keep)
    assert names(tmp_path / "out") == ["a.png", "b.png"]


def test_a_name_that_cannot_be_is_a_failure_of_its_own(tmp_path):
    source = make(tmp_path / "x.png")
    (failure,) = denoise_paths([Path("n" * 300), source], tmp_path / "out", keep)
    assert "too long" in failure.reason
    assert names(tmp_path / "out") == ["x.png"]


@pytest.mark.parametrize(
    "wrong", [{"strength": -0.1}, {"strength": 2}, {"sigma": -1}, {"sigma": float("nan")}]
)
def test_wrong_numbers_are_refused(tmp_path, wrong):
    with pytest.raises(DegrainError, match="expected a number"):
        denoise_paths([make(tmp_path / "x.png")], tmp_path / "out", keep, **wrong)


def test_bad_files_are_named_and_the_others_done(tmp_path):
    folder = tmp_path / "in"
    good = [make(folder / name) for name in ("a.png", "z.png")]
    broken = make(folder / "m.png")
    broken.write_bytes(broken.read_bytes()[:-30])
    (folder / "n.jpg").write_text("no image")
    (tmp_path / "empty").mkdir()
    inputs = [folder, tmp_path / "missing.png", tmp_path / "empty"]
    failures = denoise_paths(inputs, tmp_path / "out", keep)
    assert names(tmp_path / "out") == [path.name for path in good]
    assert {failure.path: failure.reason for failure in failures} == {
        broken: "truncated PNG; delete it or fetch it again",
        folder / "n.jpg": "not a PNG, JPEG, WebP or TIFF image; convert it, delete it or fetch it again",
        tmp_path / "missing.png": "no such file or folder",
        tmp_path / "empty": "no png, jpg, tif or webp image in it",
    }
    assert f"{broken}: truncated" in str(failures[2])


def test_a_network_that_fails_at_one_image_loses_no_other(tmp_path):
    sources = [make(tmp_path / "large.png", (20, 20, 3)), make(tmp_path / "small.png")]

    def restore(noisy, sigma):
        if len(noisy) == 20:
            msg = "out of memory"
            raise RuntimeError(msg)
        return noisy * np.float32("nan") if len(noisy) == 3 else noisy

    sources.append(make(tmp_path / "nan.png", (3, 4, 3)))
    failures = denoise_paths(sources, tmp_path / "out", restore)
    assert [failure.path.name for failure in failures] == ["large.png", "nan.png"]
    assert "out of memory" in failures[0].reason
    assert "not-a-number" in failures[1].reason
    assert names(tmp_path / "out") == ["small.png"]


def test_a_missing_single_file_fails_without_an_error(tmp_path):
    (failure,) = denoise_paths([tmp_path / "x.png"], tmp_path / "y.png", keep)
    assert failure.reason.startswith("no such file")


def test_the_contents_of_an_explicit_file_count_rather_than_its_name(tmp_path):
    make(tmp_path / "x.png").rename(tmp_path / "scan")
    assert denoise_paths([tmp_path / "scan"], tmp_path / "out", keep) == []
    assert names(tmp_path / "out") == ["scan"]


def check_refused(inputs, output, message):
    before = {path: path.read_bytes() for path in inputs[0].parent.rglob("*") if path.is_file()}
    with pytest.raises(DegrainError, match=message):
        denoise_paths(inputs, output, invert)
    assert {path: path.read_bytes() for path in inputs[0].parent.rglob("*") if path.is_file()} == before


def test_inputs_are_never_overwritten(tmp_path, monkeypatch):
    folder = tmp_path / "in"
    one, two = make(folder / "a.png"), make(folder / "sub" / "b.png")
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "a.png").symlink_to(one)
    (tmp_path / "hard").mkdir()
    (tmp_path / "hard" / "a.png").hardlink_to(one)
    message = "would overwrite an input; choose another"
    check_refused([folder], folder, message)
    check_refused([folder], tmp_path / "link", message)
    check_refused([one], folder, message)
    check_refused([one], one, message)
    check_refused([one], tmp_path / "links", message)
    check_refused([one], tmp_path / "hard", message)
    check_refused([two], folder / "sub" / ".." / "sub", message)
    check_refused([make(tmp_path / "other" / "b.png"), two], two.parent, message)
    monkeypatch.chdir(folder)
    check_refused([one], Path(), message)
    check_refused([Path("a.png")], folder, message)


def test_results_inside_the_input_folder_are_not_inputs_the_next_time(tmp_path):
    make(tmp_path / "a.png")
    for _ in range(2):
        assert denoise_paths([tmp_path], tmp_path / "restored", keep) == []
    assert names(tmp_path) == ["a.png", "restored/a.png"]


def test_inputs_inside_the_output_folder_are_done(tmp_path):
    make(tmp_path / "in" / "a.png")
    assert denoise_paths([tmp_path / "in"], tmp_path, keep) == []
    assert names(tmp_path) == ["a.png", "in/a.png"]


def test_files_of_the_same_name_are_numbered_and_the_same_file_is_done_once(tmp_path):
    first, second = make(tmp_path / "1" / "x.png"), make(tmp_path / "2" / "X.png")
    inputs = [first, second, first, tmp_path / "1"]
    assert denoise_paths(inputs, tmp_path / "out", keep) == []
    assert names(tmp_path / "out") == ["X-2.png", "x.png"]
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "X-2.png"), read_image(second))


def test_the_output_must_fit_the_inputs(tmp_path):
    one, two = make(tmp_path / "a.png"), make(tmp_path / "b.png")
    for inputs in ([one, two], [tmp_path]):
        with pytest.raises(DegrainError, match=r"out\.png: looks like a file; expected a folder"):
            denoise_paths(inputs, tmp_path / "out.png", keep)
    with pytest.raises(DegrainError, match=r"expected a name that ends in \.png"):
        denoise_paths([one], tmp_path / "out.jpg", keep)
    (tmp_path / "file").touch()
    with pytest.raises(DegrainError, match="expected a folder for the output"):
        denoise_paths([one], tmp_path / "file", keep)


def test_earlier_results_are_replaced_and_nothing_else_is_left(tmp_path):
    source = make(tmp_path / "x.png")
    denoise_paths([source], tmp_path / "out", keep)
    denoise_paths([source], tmp_path / "out", invert)
    assert names(tmp_path / "out") == ["x.png"]
    np.testing.assert_allclose(read_image(tmp_path / "out" / "x.png"), 1 - read_image(source), atol=1e-6)
