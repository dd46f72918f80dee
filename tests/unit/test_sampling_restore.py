"""Samples of whole images and of files: `Restorer` and `degrain denoise --samples`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from degrain import cli
from degrain.build.generator import save_generator
from degrain.codecs.png import decode_png
from degrain.denoise import denoise_paths
from degrain.errors import DegrainError
from degrain.files import read_image, write_image
from degrain.metrics import psnr
from degrain.models.unet import Unet, made_stochastic
from degrain.restore import Restorer
from degrain.restorers import load_restorer
from degrain.samples import WHITEST_DEVIATION
from training_support import CPU, trained_like

RNG = np.random.default_rng(3)
SIZES = {"widths": [4, 6], "blocks": [1, 1]}


def stochastic(channels):
    """A network that has learned to use z."""
    network = made_stochastic(trained_like(Unet(channels, **SIZES)))
    with torch.no_grad():
        of_z = network.head.weight[:, channels + 1 :]
        of_z.copy_(torch.randn(of_z.shape, generator=torch.Generator().manual_seed(0)) / 4)
        network.tail.weight /= 4
    return network


def restorer(channels=3, **options):
    return Restorer(stochastic(channels), channels, CPU, **options)


def random_image(height, width, channels):
    return RNG.random((height, width, channels), dtype=np.float32)


# --- whole images ---


@pytest.mark.parametrize(("channels", "given"), [(3, 3), (1, 3), (3, 1)])
def test_sampling_in_tiles_equals_sampling_whole(cut_into, channels, given):
    draw, noisy = restorer(channels), random_image(70, 53, given)
    whole = draw.samples(noisy, 0.1, count=2)
    cut_into(16)
    np.testing.assert_allclose(draw.samples(noisy, 0.1, count=2), whole, atol=1e-5)
    assert np.abs(whole[0] - whole[1]).mean() > 1e-3


def test_the_same_seed_draws_the_same_bytes_and_another_one_others():
    noisy = random_image(24, 40, 3)
    first = restorer(seed=5).samples(noisy, 0.1, count=3)
    np.testing.assert_array_equal(restorer(seed=5).samples(noisy, 0.1, count=3), first)
    np.testing.assert_array_equal(restorer(seed=5)(noisy, 0.1), first[0])
    other = restorer(seed=6).samples(noisy, 0.1, count=3)
    assert all(np.abs(one - two).mean() > 1e-3 for one in first for two in other)


def test_images_restored_together_are_the_samples_of_each_alone():
    draw, images = restorer(), [random_image(24, 40, 3) for _ in range(3)]
    together = draw.restore_all(images, 0.1)
    for image, sample in zip(images, together, strict=True):
        np.testing.assert_allclose(sample, draw(image, 0.1), atol=1e-5)


def test_planes_through_a_grey_network_have_a_z_each():
    noisy = random_image(32, 32, 1).repeat(3, axis=2)
    noisy[0, 0, 0] += 0.01  # otherwise it would be grey
    sample = restorer(1)(noisy, 0.1)
    assert np.abs(sample[..., 0] - sample[..., 1]).mean() > 1e-3


def test_a_deterministic_network_gives_the_same_each_time():
    plain = Restorer(trained_like(Unet(3, **SIZES)), 3, CPU)
    one, other = plain.samples(random_image(16, 16, 3), 0.1, count=2)
    np.testing.assert_array_equal(one, other)


# --- files ---


@pytest.fixture
def generator(make_params, tmp_path):
    section = make_params({"model": {"unet": SIZES}}).model
    path = tmp_path / "g.safetensors"
    save_generator(path, stochastic(3), section, 3)
    return path


def denoise(*arguments):
    return cli.main(
        ["denoise", *map(str, arguments), "--sigma", "10", "--precision", "float32", "--threads", "1"]
    )


def test_samples_their_mean_and_their_deviation_are_written(generator, photo, tmp_path):
    write_image(tmp_path / "photo.png", photo[:32, :40])
    out = tmp_path / "out"
    assert denoise(tmp_path / "photo.png", "-o", out, "--model", generator, "--samples", 4) == 0
    names = [
        f"photo.{name}.png" for name in ("mean", *(f"sample-0{number}" for number in range(1, 5)), "std")
    ]
    assert sorted(path.name for path in out.iterdir()) == names
    mean, *samples, deviation = (read_image(out / name) for name in names)
    one_step = 1 / 255
    np.testing.assert_allclose(np.mean(samples, axis=0), mean, atol=one_step)
    np.testing.assert_allclose(np.std(samples, axis=0, ddof=1), deviation * WHITEST_DEVIATION, atol=one_step)
    assert deviation.mean() * WHITEST_DEVIATION > one_step
    assert decode_png((out / names[-1]).read_bytes()).pixels.dtype == np.uint16


def test_of_a_grey_image_stored_in_colour_all_samples_are_grey_and_as_it_was_stored(
    generator, photo, tmp_path
):
    write_image(tmp_path / "photo.png", np.repeat(photo[:16, :16, :1], 3, axis=2))
    out = tmp_path / "out"
    assert denoise(tmp_path / "photo.png", "-o", out, "--model", generator, "--samples", 2) == 0
    for name in ("sample-01", "sample-02", "mean"):
        written = read_image(out / f"photo.{name}.png")
        assert written.shape == (16, 16, 3)
        assert (written == written[..., :1]).all()


def test_the_same_command_writes_the_same_bytes_and_a_seed_others(generator, photo, tmp_path):
    write_image(tmp_path / "photo.png", photo[:16, :16])

    def written(name, *options):
        assert denoise(tmp_path / "photo.png", "-o", tmp_path / name, "--model", generator, *options) == 0
        return {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}

    first = written("one", "--samples", 2)
    assert written("two", "--samples", 2) == first
    assert written("three", "--samples", 3)["photo.sample-02.png"] == first["photo.sample-02.png"]
    assert written("four", "--samples", 2, "--seed", 1)["photo.mean.png"] != first["photo.mean.png"]
    assert list(written("five").values()) == [first["photo.sample-01.png"]]


def test_formats_and_depths_are_kept_and_names_do_not_clash(generator, photo, tmp_path):
    shot = np.rint(photo[:16, :24] * 255).astype(np.uint8)
    for name in ("a.jpg", "a.png", "b.webp"):
        Image.fromarray(shot).save(tmp_path / name)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(shot).save(tmp_path / "turned.tif", exif=turned)
    inputs = [tmp_path / name for name in ("a.jpg", "a.png", "b.webp", "turned.tif")]
    assert denoise(*inputs, "-o", tmp_path / "out", "--model", generator, "--samples", 2) == 0
    kinds = ("mean", "sample-01", "sample-02")
    stems = {"a": "jpg", "a-2": "png", "b": "webp", "turned": "tif"}
    expected = {f"{stem}.{kind}.{suffix}" for stem, suffix in stems.items() for kind in kinds}
    assert {path.name for path in (tmp_path / "out").iterdir()} == expected | {
        f"{stem}.std.png" for stem in stems
    }
    assert read_image(tmp_path / "out/turned.std.png").shape == (
        24,
        16,
        3,
    )  # upright, as it says nothing else
    assert read_image(tmp_path / "out/turned.mean.tif").shape == (24, 16, 3)


def test_an_image_said_to_be_clean_has_one_restoration(generator, photo, tmp_path):
    write_image(tmp_path / "photo.png", photo[:16, :16])
    assert (
        denoise_paths(
            [tmp_path / "photo.png"], tmp_path / "out", Restorer.load(generator, CPU), sigma=0, samples=2
        )
        == []
    )
    for name in ("sample-01", "sample-02", "mean"):
        np.testing.assert_array_equal(
            read_image(tmp_path / f"out/photo.{name}.png"), read_image(tmp_path / "photo.png")
        )
    assert read_image(tmp_path / "out/photo.std.png").max() == 0


def test_no_sample_overwrites_an_input(generator, photo, tmp_path):
    for name in ("photo.png", "photo.mean.png"):
        write_image(tmp_path / name, photo[:16, :16])
    restore_, inputs = Restorer.load(generator, CPU), [tmp_path / "photo.png", tmp_path / "photo.mean.png"]
    with pytest.raises(DegrainError, match=r"photo\.mean\.png: the output would overwrite an input"):
        denoise_paths(inputs, tmp_path, restore_, sigma=0.1, samples=2)


@pytest.mark.parametrize("channels", [1, 3])
def test_samples_are_drawn_without_naming_a_generator(channels, photo, tmp_path, monkeypatch):
    """Each is what a noisy photograph may have been: their mean is nearer to it than any of them."""
    clean = photo[:96, :96, :channels]
    noisy = np.clip(clean + RNG.normal(0, 25 / 255, clean.shape), 0, 1).astype(np.float32)
    write_image(tmp_path / "photo.png", noisy)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["denoise", "photo.png", "--samples", "4", "--sigma", "25", "--threads", "1"]) == 0
    mean, *samples = (
        read_image(tmp_path / f"restored/photo.{name}.png")
        for name in ("mean", *(f"sample-0{number}" for number in range(1, 5)))
    )
    quality = [psnr(image, clean, data_range=1.0) for image in samples]
    assert psnr(mean, clean, data_range=1.0) > max(quality) + 0.5
    assert min(quality) > psnr(noisy, clean, data_range=1.0) + 4


def test_from_python_too_and_another_seed_draws_others(photo):
    noisy = photo[:32, :40]
    first, again, other = (
        load_restorer(None, CPU, samples=True, seed=seed).samples(noisy, 0.1, count=2) for seed in (0, 0, 1)
    )
    assert first.shape == (2, *noisy.shape)
    np.testing.assert_array_equal(first, again)
    assert np.abs(np.subtract(first, other)).mean() > 1e-3


def test_of_grey_stored_in_colour_samples_are_grey_without_naming_a_generator(photo, tmp_path):
    write_image(tmp_path / "photo.png", np.repeat(photo[:32, :32, :1], 3, axis=2))
    out = tmp_path / "out"
    assert denoise(tmp_path / "photo.png", "-o", out, "--samples", 2) == 0
    for name in ("sample-01", "sample-02", "mean"):
        written = read_image(out / f"photo.{name}.png")
        assert written.shape == (32, 32, 3)
        assert (written == written[..., :1]).all()
    assert denoise(tmp_path / "photo.png", "-o", tmp_path / "no", "--samples", 2, "--ensemble") == 2


@pytest.mark.parametrize(
    ("shape", "sigma", "said"), [((8, 8, 4), 0.1, "no transparency"), ((8, 8, 3), 25, "not at 255")]
)
def test_what_no_sample_can_be_drawn_of_is_named(shape, sigma, said):
    with pytest.raises(DegrainError, match=said):
        load_restorer(None, CPU, samples=True).samples(np.zeros(shape, np.float32), sigma, count=2)


@pytest.mark.parametrize("model", [["--model", "realistic"], ["--dial", "0.5"]])
def test_samples_need_a_generator_that_takes_z(model, photo, tmp_path, capsys):
    write_image(tmp_path / "photo.png", photo[:16, :16])
    assert denoise(tmp_path / "photo.png", "-o", tmp_path / "out", "--samples", 2, *model) == 2
    said = capsys.readouterr().err
    assert "samples: expected a generator that takes noise z, and this one takes none" in said
    assert "leave --model and --dial out" in said
    assert "model.stochastic: true in params.yaml" in said
    assert not (tmp_path / "out").exists()


def test_samples_and_an_ensemble_exclude_each_other(generator, photo, tmp_path, capsys):
    write_image(tmp_path / "photo.png", photo[:16, :16])
    options = ["--model", generator, "--samples", 2, "--ensemble"]
    assert denoise(tmp_path / "photo.png", "-o", tmp_path / "out", *options) == 2
    assert "samples and ensemble: expected one of them" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["1", "0", "-2", "two"])
def test_a_number_of_samples_is_at_least_two(number, capsys):
    with pytest.raises(SystemExit):
        denoise("a.png", "-o", "out", "--samples", number)
    assert "expected a whole number of at least 2" in capsys.readouterr().err
