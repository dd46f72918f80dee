from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from degrain.data.embedded import PHOTOGRAPHS, locate, photographs
from degrain.data.reading import local_file
from degrain.data.sources import list_sources, read_sources, safe_name, write_sources
from degrain.errors import DataError
from degrain.files import read_image, sha256_file
from support import ROOT

EMBEDDED = {split: ["embedded"] for split in ("train", "val", "test")}


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


def local(source):
    return local_file(source.set, source.path, {})


def listed(folder, split="train"):
    return list_sources({split: [f"folder:{folder}"]}, 3)


def test_embedded_photographs_are_there_and_have_the_colours_they_should():
    for photograph in PHOTOGRAPHS:
        image = read_image(locate(photograph.package, photograph.path))
        assert min(image.shape[:2]) >= 300, photograph.name
        colourful = image.shape[2] == 3 and np.ptp(image, axis=2).max() > 0.05
        assert colourful != photograph.grey_only, photograph.name


def test_no_scene_is_in_two_splits():
    splits = {}
    for photograph in PHOTOGRAPHS:
        assert splits.setdefault(photograph.scene, photograph.split) == photograph.split
    assert len({photograph.name for photograph in PHOTOGRAPHS}) == len(PHOTOGRAPHS)


def test_the_test_set_is_the_one_in_the_readme():
    assert [p.name for p in photographs("test", 3)] == ["astronaut", "chelsea", "china"]
    assert [p.name for p in photographs("test", 1)] == ["astronaut", "chelsea", "china", "camera"]
    assert [p.name for p in photographs("val", 3)] == ["flower"]
    assert {split: len(photographs(split, 3)) for split in EMBEDDED} == {"train": 8, "val": 1, "test": 3}
    assert {split: len(photographs(split, 1)) for split in EMBEDDED} == {"train": 14, "val": 1, "test": 4}


def test_a_missing_package_is_named():
    with pytest.raises(DataError, match="not found in the package no_such_package; install"):
        locate("no_such_package", "x.png")
    with pytest.raises(DataError, match=r"data/no_such\.png not found in the package skimage"):
        locate("skimage", "data/no_such.png")


def test_embedded_paths_are_the_same_on_every_machine():
    sources = list_sources(EMBEDDED, 3)
    assert "/" not in "".join(source.name for source in sources)
    astronaut = next(source for source in sources if source.name == "astronaut")
    assert astronaut.path == "skimage:data/astronaut.png"
    assert sha256_file(local(astronaut)) == astronaut.sha256


def test_folders_are_listed_in_the_order_of_their_paths(tmp_path):
    folder = touch(tmp_path / "mine", "b.png", "A.JPG", "sub dir/ü (1).tiff", ".hidden.png", "x.txt")
    sources = listed(folder)
    assert [source.name for source in sources] == ["A", "b", "sub_dir_ü_1_"]
    assert [source.path for source in sources] == [
        f"{folder}/A.JPG",
        f"{folder}/b.png",
        f"{folder}/sub dir/ü (1).tiff",
    ]
    assert {source.set for source in sources} == {f"folder:{folder}"}
    assert all(sha256_file(local(source)) == source.sha256 for source in sources)


def test_relative_folders_stay_relative(tmp_path, monkeypatch):
    touch(tmp_path / "data" / "mine", "a.png")
    monkeypatch.chdir(tmp_path)
    (source,) = listed("data/mine/")
    assert source.path == "data/mine/a.png"
    monkeypatch.setenv("HOME", str(tmp_path))
    (source,) = listed("~/data/mine")
    assert source.path == "~/data/mine/a.png"
    assert local(source).is_file()


def test_names_are_unique_whatever_the_case_and_the_same_every_time(tmp_path):
    folder = touch(tmp_path, "a/x.png", "a_x.png", "A_X.jpg", "a_x.tif", "a_x-2.png")
    names = [source.name for source in listed(folder)]
    assert names == ["A_X", "a_x-2", "a_x-2-2", "a_x-3", "a_x-4"]
    assert names == [source.name for source in listed(folder)]


def test_the_same_name_may_stand_in_two_splits(tmp_path):
    touch(tmp_path / "1", "x.png")
    touch(tmp_path / "2", "x.png")
    sets = {"train": [f"folder:{tmp_path}/1"], "val": [f"folder:{tmp_path}/2"]}
    assert [source.name for source in list_sources(sets, 3)] == ["x", "x"]


def test_an_image_in_two_sets_has_two_rows(tmp_path):
    touch(tmp_path, "x.png")
    sets = {"train": [f"folder:{tmp_path}", f"folder:{tmp_path}"]}
    assert [source.name for source in list_sources(sets, 3)] == ["x", "x-2"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("x.png", "x"),
        ("holiday/IMG 1.v2.jpg", "holiday_IMG_1_v2"),
        ("a:b*c?.png", "a_b_c_"),
        ("u\u0308.png", "ü"),
        ("???.png", "_"),
        ("naïve-日本.png", "naïve-日本"),
    ],
)
def test_names_are_fit_for_files(path, name):
    assert safe_name(Path(path)) == name


def test_long_names_are_cut_and_stay_different():
    names = [safe_name(Path(f"{'ü' * 90}/{'b' * 90}/{end}{'c' * 120}.png")) for end in "12"]
    assert all(len(name.encode()) < 200 for name in names)
    assert names[0] != names[1]


def test_missing_and_empty_folders_are_named(tmp_path):
    with pytest.raises(DataError, match=r"folder:/no/such: expected a folder at /no/such, found nothing"):
        listed("/no/such")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="found a file"):
        listed(tmp_path / "file")
    touch(tmp_path / "empty", "notes.txt", ".hidden.png")
    with pytest.raises(DataError, match=r"no png, jpg, tif or webp image in .*/empty; put"):
        listed(tmp_path / "empty")


def test_a_folder_that_dvc_keeps_is_to_be_pulled(tmp_path):
    (tmp_path / "own.dvc").touch()
    with pytest.raises(DataError, match=f"found nothing; fetch it: dvc pull {tmp_path}/own.dvc"):
        listed(tmp_path / "own")


def test_a_file_that_cannot_be_read_is_listed_all_the_same(tmp_path):
    touch(tmp_path, "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    assert [(source.name, source.sha256 == "") for source in listed(tmp_path)] == [("a", False), ("b", True)]


def test_the_table_is_the_same_bytes_until_something_changes(tmp_path):
    folder, table = touch(tmp_path / "mine", "a.png", 'odd, "name".png'), tmp_path / "sources.csv"

    def write():
        write_sources(table, listed(folder))
        return table.read_bytes()

    first = write()
    assert first.startswith(b"split,set,name,path,sha256,noisy,noisy_sha256\n")
    assert write() == first
    assert read_sources(table) == listed(folder)
    (folder / "a.png").write_bytes(b"changed")
    changed = write()
    assert changed != first
    touch(folder, "b.png")
    assert write() != changed


def test_listing_imports_none_of_the_slow_packages():
    code = (
        "import sys, degrain.stages.sources; from degrain.data.sources import list_sources;"
        "list_sources({'test': ['embedded']}, 3);"
        "slow = {'torch', 'pandas', 'skimage', 'sklearn', 'matplotlib', 'scipy', 'mlflow', 'pooch'};"
        "print(*slow & set(sys.modules))"
    )
    environment = {"PYTHONPATH": str(ROOT / "src")}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == ""


def test_a_stage_prints_what_is_wrong_without_a_traceback(tmp_path):
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    run = [sys.executable, "-m", "degrain.stages.sources"]
    options = {
        "cwd": tmp_path,
        "env": {"PYTHONPATH": str(ROOT / "src")},
        "capture_output": True,
        "text": True,
    }
    (tmp_path / "params.yaml").write_text(params.replace("train: [embedded]", "train: [folder:photos]"))
    result = subprocess.run(run, **options, check=False)
    assert result.returncode == 1
    expected = f"folder:photos: expected a folder at {tmp_path / 'photos'}, found nothing"
    assert result.stderr.startswith(expected)
    assert "Traceback" not in result.stderr
    (tmp_path / "params.yaml").write_text(params.replace("min_side", "min_sid"))
    result = subprocess.run(run, **options, check=False)
    assert result.returncode == 1
    assert "data.min_sid is not a setting; did you mean data.min_side?" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_stage_whose_inputs_are_missing_says_which(tmp_path):
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    result = subprocess.run(
        [sys.executable, "-m", "degrain.stages.download"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("data/sources.csv: not found; `dvc repro` runs the stages before")
    assert "Traceback" not in result.stderr
