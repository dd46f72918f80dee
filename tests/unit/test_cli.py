"""The command, as a user types it."""

from __future__ import annotations

import subprocess
import sys
import tomllib

import numpy as np
import pytest
import torch
from PIL import Image

import degrain
from degrain import cli
from degrain.build.generator import build_generator, save_generator
from degrain.codecs import sniff
from degrain.files import read_image
from support import ROOT
from training_support import trained_like

RNG = np.random.default_rng(1)


@pytest.fixture(autouse=True)
def _as_before(monkeypatch, tmp_path):
    """Work in an empty folder, and let no setting of torch outlive the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    deterministic = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture
def model(make_params, tmp_path):
    """Write a tiny generator, trained or not; returns its path."""

    def make(*, trained=False, channels=3):
        section = make_params().model
        network = build_generator(section, channels)
        path = tmp_path / f"model_{trained}_{channels}.safetensors"
        save_generator(path, trained_like(network) if trained else network, section, channels)
        return path

    return make


def run(*arguments, capsys):
    """Exit code, standard output, standard error."""
    try:
        code = cli.main([str(argument) for argument in arguments])
    except SystemExit as ended:
        code = ended.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def samples(height, width, *, dtype=np.uint8, grey=False):
    shape = (height, width) if grey else (height, width, 3)
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def write_inputs(folder):
    """Files of several formats, depths and sizes."""
    folder.mkdir()
    Image.fromarray(samples(19, 30)).save(folder / "colour.png")
    Image.fromarray(samples(17, 5, grey=True)).save(folder / "grey.png")
    Image.fromarray(samples(9, 12, dtype=np.uint16, grey=True)).save(folder / "deep.png")
    Image.fromarray(samples(8, 33)).save(folder / "photo.jpg", quality=95)
    Image.fromarray(samples(8, 33)).save(folder / "scan.tif")
    Image.fromarray(samples(21, 11)).save(folder / "web.webp", lossless=True)
    for name in ("dot.png", "dot.tif", "dot.jpg", "dot.webp"):
        Image.fromarray(samples(1, 1)).save(folder / name)
    return sorted(path.name for path in folder.iterdir())


def waited_for(*arguments):
    """What a command prints, and the slow modules that it imported."""
    script = """
import sys
from degrain.cli import main
try:
    main(sys.argv[1:])
finally:
    print({"torch", "pandas", "mlflow", "matplotlib"} & {*sys.modules})
"""
    command = [sys.executable, "-c", script, *arguments]
    environment = {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def test_help_names_the_commands_and_waits_for_nothing_slow():
    printed = waited_for("--help")
    assert printed.startswith("usage: degrain ")
    assert "denoise" in printed
    assert "table" in printed
    assert printed.endswith("set()\n")


def test_the_help_of_denoise_states_defaults_and_units(capsys):
    code, out, _ = run("denoise", "--help", capsys=capsys)
    assert code == 0
    for word in ("models/train/generator.safetensors", "units of 255", "auto|N", "--strength", "--threads"):
        assert word in out


def test_version_and_entry_point(capsys):
    assert run("--version", capsys=capsys)[:2] == (0, f"degrain {degrain.__version__}\n")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"degrain": "degrain.cli:main"}


def test_a_network_that_does_nothing_keeps_lossless_files_in_all_formats(model, tmp_path, capsys):
    names = write_inputs(tmp_path / "in")
    code, out, err = run("denoise", "in", "-o", "out", "--model", model(), capsys=capsys)
    assert (code, out, err) == (0, "", "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    for name in names:
        before, after = tmp_path / "in" / name, tmp_path / "out" / name
        assert sniff(after.read_bytes()) == sniff(before.read_bytes())
        with Image.open(before) as one, Image.open(after) as other:
            assert (one.size, one.mode) == (other.size, other.mode)
        if not name.endswith(("jpg", "webp")):
            np.testing.assert_array_equal(read_image(after), read_image(before))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_that_does_something_changes_every_file(model, tmp_path, capsys, channels):
    names = write_inputs(tmp_path / "in")
    path = model(trained=True, channels=channels)
    arguments = ("--model", path, "--sigma", 25, "--threads", 1)
    assert run("denoise", "in", "-o", "out", *arguments, capsys=capsys)[0] == 0
    assert run("denoise", "in", "-o", "half", *arguments, "--strength", 0.5, capsys=capsys)[0] == 0
    assert run("denoise", "in", "-o", "none", *arguments, "--strength", 0, capsys=capsys)[0] == 0
    assert run("denoise", "in", "-o", "blind", "--model", path, capsys=capsys)[0] == 0
    for name in names:
        before, restored = read_image(tmp_path / "in" / name), read_image(tmp_path / "out" / name)
        assert restored.shape == before.shape
        least = 0.02 if restored.size > 3 else 0.003  # a single pixel is all padding
        assert np.abs(restored - before).max() > least, name
        if not name.endswith(("jpg", "webp")):
            np.testing.assert_array_equal(read_image(tmp_path / "none" / name), before)
    whole, half, none, blind = (
        read_image(tmp_path / folder / "colour.png") for folder in ("out", "half", "none", "blind")
    )
    inside = (whole > 0) & (whole < 1)
    assert inside.sum() > 20
    np.testing.assert_allclose(half[inside], ((whole + none) / 2)[inside], atol=1.5 / 255)
    assert not np.array_equal(blind, whole)


def test_the_ensemble_turns_with_the_image(model, tmp_path, capsys):
    upright = samples(19, 30)
    Image.fromarray(upright).save(tmp_path / "upright.png")
    Image.fromarray(np.rot90(upright)).save(tmp_path / "turned.png")
    arguments = ("-o", "out", "--model", model(trained=True), "--sigma", 25, "--precision", "float32")
    images = ("upright.png", "turned.png")
    differences = []
    for options in ((), ("--ensemble",)):
        assert run("denoise", *images, *arguments, *options, capsys=capsys)[0] == 0
        one, other = (read_image(tmp_path / "out" / name) for name in images)
        differences.append(np.abs(np.rot90(one) - other).max())
    assert differences[1] < 1.5 / 255 < differences[0]


def test_one_file_goes_to_one_file(model, tmp_path, capsys):
    Image.fromarray(samples(6, 7)).save(tmp_path / "a.png")
    assert run("denoise", "a.png", "-o", "new/b.png", "--model", model(), capsys=capsys)[0] == 0
    np.testing.assert_array_equal(read_image(tmp_path / "new" / "b.png"), read_image(tmp_path / "a.png"))


def test_a_bad_file_is_named_the_others_are_done_and_the_code_is_1(model, tmp_path, capsys):
    names = write_inputs(tmp_path / "in")
    (tmp_path / "in" / "broken.png").write_bytes((tmp_path / "in" / "colour.png").read_bytes()[:60])
    code, out, err = run("denoise", "in", "gone.png", "-o", "out", "--model", model(), capsys=capsys)
    assert (code, out) == (1, "")
    assert "degrain: in/broken.png: " in err
    assert "degrain: gone.png: no such file or folder" in err
    assert err.count("degrain: ") == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names


def test_a_missing_model_is_2_and_says_what_there_is(tmp_path, capsys):
    Image.fromarray(samples(6, 7)).save(tmp_path / "a.png")
    code, out, err = run("denoise", "a.png", "-o", "out", "--model", "faithfull", capsys=capsys)
    assert (code, out) == (2, "")
    assert err.startswith("degrain: faithfull: no generator there; expected the safetensors file of one")
    assert "or faithful or realistic" in err
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_model_is_2(tmp_path, capsys):
    Image.fromarray(samples(6, 7)).save(tmp_path / "a.png")
    code, _, err = run("denoise", "a.png", "-o", "out", "--model", "a.png", capsys=capsys)
    assert code == 2
    assert "a.png: expected a generator that degrain saved" in err


@pytest.mark.parametrize("output", [".", "a.png", "sub/.."])
def test_an_input_is_never_overwritten(model, tmp_path, capsys, output):
    (tmp_path / "sub").mkdir()
    Image.fromarray(samples(6, 7)).save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    path = model(trained=True)
    code, _, err = run("denoise", "a.png", "-o", output, "--model", path, capsys=capsys)
    assert code == 2
    assert "the output would overwrite an input; choose another folder or name" in err
    assert (tmp_path / "a.png").read_bytes() == before


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--sigma", "strong", "'strong'; expected auto or a number from 0 to 255"),
        ("--sigma", "-1", "'-1'; expected auto or a number from 0 to 255"),
        ("--sigma", "256", "'256'; expected auto or"),
        ("--sigma", "nan", "'nan'; expected auto or"),
        ("--strength", "1.01", "'1.01'; expected a number from 0 to 1"),
        ("--strength", "half", "'half'; expected a number from 0 to 1"),
        ("--strength", "nan", "'nan'; expected a number from 0 to 1"),
        ("--threads", "0", "'0'; expected a whole number of at least 1"),
        ("--threads", "-2", "'-2'; expected a whole number of at least 1"),
        ("--threads", "two", "'two'; expected a whole number of at least 1"),
        ("--device", "tpu", "invalid choice: 'tpu'"),
        ("--precision", "int8", "invalid choice: 'int8'"),
    ],
)
def test_a_wrong_option_is_2_and_says_what_was_expected(capsys, option, value, message):
    code, _, err = run("denoise", "a.png", "-o", "out", f"{option}={value}", capsys=capsys)
    assert code == 2
    assert f"argument {option}: " in err
    assert message in err


def test_a_device_that_is_not_there_is_2(monkeypatch, model, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, _, err = run("denoise", "a", "-o", "out", "--model", model(), "--device", "cuda", capsys=capsys)
    assert code == 2
    assert err.startswith("degrain: device 'cuda': this machine has none; take auto")


@pytest.mark.parametrize("arguments", [(), ("denoise",), ("clean", "a.png")])
def test_an_incomplete_command_is_2_with_its_usage(capsys, arguments):
    code, _, err = run(*arguments, capsys=capsys)
    assert code == 2
    assert err.startswith("usage: degrain")


@pytest.mark.parametrize(("text", "expected"), [("auto", None), ("0", 0.0), ("25", 25 / 255), ("255", 1.0)])
def test_sigma_is_given_in_units_of_255(monkeypatch, model, capsys, text, expected):
    told = []
    monkeypatch.setattr("degrain.denoise.denoise_paths", lambda *_, sigma, **__: told.append(sigma) or [])
    assert run("denoise", "a", "-o", "b", "--model", model(), "--sigma", text, capsys=capsys)[0] == 0
    assert told == [pytest.approx(expected) if expected else expected]


def test_ctrl_c_is_130(monkeypatch, model, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("degrain.denoise.denoise_paths", interrupted)
    assert run("denoise", "a", "-o", "b", "--model", model(), capsys=capsys)[0] == 130


def test_table_before_any_run_says_what_to_do(capsys):
    code, out, err = run("table", capsys=capsys)
    assert (code, out) == (2, "")
    assert err == "degrain: reports/table.md: no results yet; run `make repro` (or `dvc repro`) first\n"


def test_table_prints_the_results_and_waits_for_nothing_slow(tmp_path):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "table.md").write_text(
        "| method | s 1 |\n| --- | ---: |\n| mean | 1.00 / 0.100 |\n"
    )
    assert waited_for("table").splitlines()[-2:] == ["| mean | 1.00 / 0.100 |  |", "set()"]
