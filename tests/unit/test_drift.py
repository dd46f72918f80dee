"""Drift: what the features measure, how often a change is found, and how it is said."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from skimage import data
from skimage.color import rgb2gray

from degrain.cli import main
from degrain.data.synthesis import make_noisy_sets
from degrain.drift.compare import Settings, compare
from degrain.drift.features import FEATURES, image_features
from degrain.drift.table import DriftError, describe_noisy_sets, read_table, write_table
from degrain.files import write_image
from degrain.noise.additive import Correlated, Gaussian
from degrain.noise.counting import PoissonGaussian
from degrain.noise.jpeg import Jpeg

SIDE, SCENES, DRAWN, DRAWS = 128, 96, 32, 200
GAIN, READ_NOISE_255 = 0.01, 3
ENOUGH = 10
PHOTOS = ("coffee", "chelsea", "astronaut", "rocket", "camera", "coins", "immunohistochemistry", "moon")


@pytest.fixture(scope="module")
def scenes():
    """Crops of real photographs (H, W) in [0, 1], taken in more and in less light."""
    rng = np.random.default_rng(0)
    photos = [getattr(data, name)() for name in PHOTOS]
    grey = [photo / 255 if photo.ndim == 2 else rgb2gray(photo) for photo in photos]
    crops = [
        photo[top : top + SIDE, left : left + SIDE]
        for photo in grey
        for top in range(0, photo.shape[0] - SIDE + 1, SIDE)
        for left in range(0, photo.shape[1] - SIDE + 1, SIDE)
    ]
    chosen = rng.permutation(len(crops))[:SCENES]
    return [crops[index] * rng.uniform(0.3, 1.1) for index in chosen]


def shoot(scene, model, level, seed):
    """The scene as a camera with this noise stores it: (H, W, 1) uint8."""
    clean = torch.from_numpy(scene.astype(np.float32))[None, None]
    noisy = model(clean, torch.tensor([level]), generator=torch.Generator().manual_seed(seed))
    return np.rint(noisy.clamp(0, 1).numpy()[0, 0, ..., None] * 255).astype(np.uint8)


def features_of(scenes, model, level, seed=0):
    images = (shoot(scene, model, level, seed + number) for number, scene in enumerate(scenes))
    table = pd.DataFrame([image_features(image) for image in images])
    return table.assign(name=[str(number) for number in range(len(table))], level="", channels=1)


@pytest.fixture(scope="module")
def camera(scenes):
    """Features of all scenes by one camera."""
    return features_of(scenes, PoissonGaussian(READ_NOISE_255), GAIN)


@pytest.fixture(scope="module")
def noisier(scenes):
    """The same scenes by a camera whose gain has risen by half."""
    return features_of(scenes, PoissonGaussian(READ_NOISE_255), 1.5 * GAIN, seed=1000)


def share_of_drifts(pool, camera):
    """How often drift is found in DRAWN scenes of the pool, beside the other scenes by the camera."""
    found = 0
    for seed in range(DRAWS):
        order = np.random.default_rng(seed).permutation(len(camera))
        new, old = order[:DRAWN], order[DRAWN:]
        found += any(one.drifted for one in compare(camera.iloc[old], pool.iloc[new], Settings()))
    return found / DRAWS


def test_the_same_camera_raises_few_false_alarms(camera):
    assert share_of_drifts(camera, camera) <= 0.05


def test_a_camera_whose_gain_rises_by_half_is_found(camera, noisier):
    assert share_of_drifts(noisier, camera) >= 0.95


def test_gain_is_that_of_the_camera(camera, noisier, scenes):
    assert camera["gain"].median() == pytest.approx(1000 * GAIN, rel=0.15)
    assert noisier["gain"].median() == pytest.approx(1500 * GAIN, rel=0.15)
    white = features_of(scenes[:12], Gaussian(), 20.0)
    assert abs(white["gain"].median()) < 4
    assert white["noise_255"].median() == pytest.approx(20, rel=0.1)


@pytest.mark.parametrize(
    ("model", "level", "features"),
    [
        (Correlated(1.0), 20.0, {"correlation", "spectrum_db"}),
        (Jpeg(), 20.0, {"noise_255"}),
        (Gaussian(), 30.0, {"noise_255", "gain"}),
    ],
)
def test_another_kind_of_noise_is_found_by_what_tells_it(scenes, camera, model, level, features):
    changed = features_of(scenes[:DRAWN], model, level)
    found = {one.feature for one in compare(camera.iloc[DRAWN:], changed, Settings()) if one.drifted}
    assert features <= found
    assert not found & {"brightness_255", "megapixels"}


def test_white_noise_has_neither_correlation_nor_a_slope_of_the_spectrum():
    flat = np.full((256, 256), 0.5)
    white = image_features(shoot(flat, Gaussian(), 20.0, 0))
    smooth = image_features(shoot(flat, Correlated(1.0), 20.0, 0))
    assert abs(white["correlation"]) < 0.01
    assert abs(white["spectrum_db"]) < 0.2
    assert smooth["correlation"] > 0.2
    assert smooth["spectrum_db"] < -5


def test_noise_hardly_moves_what_tells_of_the_scene(scenes):
    for number, scene in enumerate(scenes[:6]):
        clean, noisy = (image_features(shoot(scene, Gaussian(), level, number)) for level in (0.0, 15.0))
        assert noisy["brightness_255"] == pytest.approx(clean["brightness_255"], abs=3)
        assert noisy["contrast_255"] == pytest.approx(clean["contrast_255"], abs=3)


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 40, 1), (8, 8, 3), (33, 31, 1)])
def test_images_of_any_size_and_without_any_content_have_features(shape):
    for pixels in (np.zeros(shape, np.uint8), np.random.default_rng(0).integers(0, 256, shape, np.uint8)):
        features = image_features(pixels)
        assert features.keys() == FEATURES.keys()
        assert not any(np.isinf(value) for value in features.values())


def test_fewer_scenes_at_several_levels_do_not_pass_for_more(camera):
    """Otherwise a few scenes in the reference would make any other look like drift."""
    old, new = camera.iloc[:12], camera.iloc[12:44]
    repeated = pd.concat([old, old, old])
    by_name = [
        {one.feature: one for one in compare(reference, new, Settings())} for reference in (old, repeated)
    ]
    for feature in ("brightness_255", "contrast_255"):
        assert by_name[0][feature].distance == by_name[1][feature].distance
        assert by_name[1][feature].reference.count == 12
    assert by_name[1]["noise_255"].reference.count == 36


def test_too_few_images_are_refused_and_the_number_that_is_asked_for_is_enough(camera, noisier):
    with pytest.raises(DriftError, match="2 images beside 64 of the reference: too few") as failure:
        compare(camera.iloc[:64], noisier.iloc[:2], Settings())
    wanted = int(re.search(r"at least (\d+) images", str(failure.value))[1])
    far = noisier.iloc[:wanted].assign(megapixels=100.0, noise_255=200.0)
    assert any(one.drifted for one in compare(camera.iloc[:64], far, Settings()))


def test_small_and_ignored_differences_are_no_drift(camera, noisier):
    drifted = {one.feature for one in compare(camera, noisier, Settings()) if one.drifted}
    assert "gain" in drifted
    assert not any(one.drifted for one in compare(camera, noisier, Settings(least_distance=1.0)))
    rest = compare(camera, noisier, Settings(ignored=("gain", "noise_255")))
    assert {one.feature for one in rest} == FEATURES.keys() - {"gain", "noise_255"}
    assert not any(one.drifted for one in rest)


def test_the_pipeline_describes_its_noisy_sets_at_every_level(scenes, tmp_path):
    for number, split in enumerate(("val", "test", "test")):
        write_image(tmp_path / f"raw/{split}/NA{number}.png", scenes[number][..., None].astype(np.float32))

    def degrade(clean, level, *, generator):
        return clean + level / 255 * torch.randn(clean.shape, generator=generator), level / 255

    levels = [("sigma_10", 10.0), ("sigma_40", 40.0)]
    make_noisy_sets(tmp_path / "raw", tmp_path / "noisy", levels, degrade, seed=0)
    table = describe_noisy_sets(tmp_path / "noisy")
    assert set(table["name"]) == {"val/NA0", "test/NA1", "test/NA2"}
    means = table.groupby("level")["noise_255"].mean()
    assert means["sigma_10"] == pytest.approx(10, rel=0.2)
    assert means["sigma_40"] == pytest.approx(38, rel=0.2)
    write_table(tmp_path / "reference.csv", table)
    pd.testing.assert_frame_equal(read_table(tmp_path / "reference.csv"), table)


@pytest.fixture
def folders(scenes, tmp_path):
    """Images of the camera in `before` and `same`, of the noisier one in `after`."""
    model = PoissonGaussian(READ_NOISE_255)
    for name, first, gain in (("before", 0, GAIN), ("same", ENOUGH, GAIN), ("after", ENOUGH, 3 * GAIN)):
        (tmp_path / name).mkdir()
        for number in range(first, first + ENOUGH):
            image = shoot(scenes[number], model, gain, number)[..., 0]
            Image.fromarray(image).save(tmp_path / name / f"{number}.png")
    return tmp_path


def drift(folder, *arguments):
    return main(["drift", *map(str, arguments), "--output", str(folder / "out")])


def test_the_command_says_what_drifted_by_how_much_and_ends_with_4(folders, capsys):
    reference = folders / "reference.csv"
    grey = ("--channels", "1")
    assert drift(folders, folders / "before", "--write-reference", reference, *grey) == 0
    capsys.readouterr()
    assert drift(folders, folders / "same", "--reference", reference) == 0
    assert capsys.readouterr().out.startswith(f"no drift: 10 images beside 10 of {reference}\n")
    assert not json.loads((folders / "out/drift.json").read_text())["drift"]

    assert drift(folders, folders / "after", "--reference", reference) == 4
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"drift in {len(lines) - 2} of 7 features: 10 images beside 10 of {reference}"
    assert re.search(r"\n  noise gain: [\d.]+ -> [\d.]+ per mille \(distance [\d.]+, p = ", "\n".join(lines))
    found = json.loads((folders / "out/drift.json").read_text())
    assert found["drift"]
    assert len(found["drifted"]) == len(lines) - 2
    assert found["features"]["gain"]["incoming"]["median"] > found["features"]["gain"]["reference"]["median"]


def test_a_folder_can_be_the_reference_and_the_features_of_a_check_that_of_the_next(folders):
    assert drift(folders, folders / "same", "--reference", folders / "before", "--channels", "1") == 0
    (folders / "out/features.csv").rename(folders / "next.csv")
    assert drift(folders, folders / "after", "--reference", folders / "next.csv") == 4


def test_the_page_stands_alone_and_names_what_it_shows(folders):
    (folders / "after/<b>&.png").touch()
    drift(folders, folders / "after", "--reference", folders / "before", "--channels", "1")
    page = (folders / "out/drift.html").read_text(encoding="utf-8")
    assert "drift in" in page
    assert page.count("<img") == 6
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert page.count("<svg") == 8
    assert "&lt;b&gt;&amp;.png" in page
    assert "<b>" not in page


def test_unreadable_files_are_named_and_the_others_compared(folders, capsys):
    (folders / "same/broken.png").write_text("no image")
    (folders / "after/broken.png").write_text("no image")
    reference = folders / "before"
    assert drift(folders, folders / "same", "--reference", reference, "--channels", "1") == 1
    captured = capsys.readouterr()
    assert "same/broken.png: not a PNG, JPEG, WebP or TIFF image" in captured.err
    assert "no drift: 10 images" in captured.out
    assert drift(folders, folders / "after", "--reference", reference, "--channels", "1") == 4
    assert "broken.png" in (folders / "out/drift.html").read_text(encoding="utf-8")


def test_what_cannot_be_compared_is_refused_with_advice(folders, capsys):
    (folders / "empty").mkdir()
    (folders / "other.csv").write_text("a,b\n1,2\n")
    (folders / "void.csv").touch()
    before = folders / "before"
    refused = {
        (folders / "empty", "--reference", before): "no png, jpg, tif or webp image",
        (folders / "same", "--reference", folders / "gone.csv"): "no such reference; `dvc repro` makes",
        (folders / "same", "--reference", folders / "other.csv"): "not a table of features: it has no name",
        (folders / "same", "--reference", folders / "void.csv"): "not a table of features",
        (
            folders / "same",
            "--reference",
            before,
            "--ignore",
            "size",
        ): "expected one of: noise_255",
        (folders / "gone.png", "--reference", before): "gone.png: no such file",
    }
    for arguments, message in refused.items():
        assert drift(folders, *arguments) == 2
        assert message in capsys.readouterr().err
