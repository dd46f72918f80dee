"""`degrain preset`, in git repositories of its own, and the presets that come with degrain."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml

from degrain import cli
from degrain.build.released import LEGS
from degrain.params import parse_params
from degrain.yaml_edit import overlaid, set_values
from support import ROOT

SHIPPED = {path.stem: path for path in sorted((ROOT / "presets").glob("*.yaml"))}
DEFAULT = """\
# As it comes.
data:
  channels: 3
  train: [embedded]
noise:
  gaussian:
    train: [0, 55]
pretrain:
  steps: 1000
patches:
  side_px: 96
"""
ONE = """\
# Grey, with stronger noise.
data:
  channels: 1
  train: ['folder:my photos']
noise:
  gaussian:
    train: [0, 75]
"""
OTHER = """\
# Colour, for longer.
pretrain:
  steps: 30000
"""


def git(*arguments):
    command = ["git", "-c", "user.name=Tester", "-c", "user.email=tester@example.org", *arguments]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(autouse=True)
def _outside(monkeypatch, tmp_path):
    """Work in an empty folder which no repository holds, nor any variable names."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder(tmp_path):
    """params.yaml as it comes and three presets, not in git."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "presets").mkdir()
    for name, text in {"default": DEFAULT, "one": ONE, "other": OTHER}.items():
        (tmp_path / "presets" / f"{name}.yaml").write_text(text)
    return tmp_path


COMMENT = "                # 3: colour, 1: grey"


@pytest.fixture
def project(folder):
    """The same, committed."""
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "start")
    return folder


@pytest.fixture
def run(capsys):
    """Exit code, standard output, standard error of `degrain preset`."""

    def run(*arguments):
        code = cli.main(["preset", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def refused(run, folder, *arguments):
    """What it says when it changes nothing."""
    before = (folder / "params.yaml").read_bytes()
    listed = sorted(folder.iterdir())
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert (folder / "params.yaml").read_bytes() == before
    assert sorted(folder.iterdir()) == listed
    return err


def test_without_a_name_it_lists_the_presets(run, folder):
    assert run() == (
        0,
        "default  As it comes.\none      Grey, with stronger noise.\nother    Colour, for longer.\n",
        "",
    )


def test_it_changes_the_values_and_shows_every_line_it_changed(run, project):
    before = (project / "params.yaml").read_text().splitlines()
    code, out, err = run("one")
    assert (code, err) == (0, "")
    after = (project / "params.yaml").read_text().splitlines()
    assert len(after) == len(before)
    changed = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    assert changed == [
        (f"  channels: 3 {COMMENT}", f"  channels: 1 {COMMENT}"),
        ("  train: [embedded]", "  train: ['folder:my photos']"),
        ("    train: [0, 55]", "    train: [0, 75]"),
    ]
    lines = out.splitlines()
    assert lines[:2] == ["--- a/params.yaml", "+++ b/params.yaml"]
    assert [line[1:] for line in lines[2:] if line[0] == "-"] == [old for old, _ in changed]
    assert [line[1:] for line in lines[2:] if line[0] == "+"] == [new for _, new in changed]


def test_the_difference_is_one_that_git_applies_in_reverse(run, project):
    before = (project / "params.yaml").read_bytes()
    (project / "difference").write_text(run("one")[1])
    git("apply", "--reverse", "difference")
    assert (project / "params.yaml").read_bytes() == before


def test_the_presets_before_leave_no_trace(run, project):
    before = (project / "params.yaml").read_bytes()
    run("other")
    alone = (project / "params.yaml").read_bytes()
    assert alone != before
    run("one", "--force")
    assert run("other", "--force")[0] == 0
    assert (project / "params.yaml").read_bytes() == alone
    run("default", "--force")
    assert (project / "params.yaml").read_bytes() == before


def test_what_no_preset_names_is_kept(run, project):
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("seed: 0 ", "seed: 7 ") + "# the end")
    git("commit", "--all", "--quiet", "--message", "another seed")
    assert run("one")[0] == 0
    assert "seed: 7 " in path.read_text()
    assert path.read_text().endswith("# the end")


def test_twice_is_once_and_says_so(run, project):
    run("one")
    once = (project / "params.yaml").read_bytes()
    assert run("one") == (0, "params.yaml has these values already: one\n", "")
    assert (project / "params.yaml").read_bytes() == once


@pytest.mark.parametrize("staged", [True, False])
def test_changes_that_git_does_not_hold_are_not_overwritten(run, project, staged):
    path = project / "params.yaml"
    path.write_text(path.read_text() + "# mine\n")
    if staged:
        git("add", "params.yaml")
    assert refused(run, project, "one") == (
        "degrain: params.yaml: has changes that git does not hold; commit them, or drop them with "
        "git restore --staged --worktree params.yaml, or overwrite it with --force\n"
    )
    assert run("one", "--force")[0] == 0
    assert "channels: 1" in path.read_text()
    assert path.read_text().endswith("# mine\n")


def test_changes_to_other_files_do_not_matter(run, project):
    (project / "presets" / "other.yaml").unlink()
    (project / "notes").write_text("new")
    assert run("one")[0] == 0


def test_a_file_that_git_does_not_follow_is_refused(run, project):
    git("rm", "--cached", "--quiet", "params.yaml")
    git("commit", "--quiet", "--message", "not followed")
    assert "has changes that git does not hold" in refused(run, project, "one")
    (project / ".gitignore").write_text("params.yaml\n")
    assert "has changes that git does not hold" in refused(run, project, "one")


def test_outside_of_a_repository_it_says_what_to_do(run, folder):
    err = refused(run, folder, "one")
    assert err.startswith("degrain: params.yaml: git does not keep its present values (fatal: not a git")
    assert "; run git init, git add params.yaml and git commit, or overwrite it with --force" in err
    assert run("one", "--force")[0] == 0
    assert "channels: 1" in (folder / "params.yaml").read_text()


def test_without_git_it_says_what_to_do(run, project, monkeypatch):
    monkeypatch.setenv("PATH", str(project))
    assert "was not found; install git, or overwrite it with --force" in refused(run, project, "one")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("othr", "presets/othr.yaml: no such preset; did you mean other?"),
        ("xyz", "presets/xyz.yaml: no such preset; expected one of: default, one, other"),
        ("../params", "presets/../params.yaml: no such preset; expected one of: "),
    ],
)
def test_a_name_that_is_none_is_an_error(run, project, name, said):
    assert said in refused(run, project, name)


@pytest.mark.parametrize(
    ("preset", "said"),
    [
        ("noise: {gausian: {train: 5}}", "noise.gausian is not a setting; did you mean noise.gaussian?"),
        ("data: {channels: 2}", "params.yaml with presets/bad.yaml: data.channels = 2; "),
        ("patches: {side_px: 500}", "patches.side_px = 500; expected at most data.min_side = 96"),
        ("data: 1", "params.yaml with presets/bad.yaml: data = 1; "),
        (
            "seed: 1\nevaluate: {zoom_px: 9}",
            "bad.yaml: sets evaluate.zoom_px, seed, which presets/default.yaml",
        ),
        ("data: [", "presets/bad.yaml: not valid YAML"),
        ("- data", "presets/bad.yaml: expected settings as in params.yaml, found ['data']"),
    ],
)
def test_a_bad_preset_changes_nothing(run, project, preset, said):
    (project / "presets" / "bad.yaml").write_text(f"# Bad.\n{preset}\n")
    assert said in refused(run, project, "bad")
    assert said in refused(run, project, "bad", "--force")


def test_params_that_are_no_good_are_an_error_by_themselves(run, project):
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("seed: 0", "sed: 0"))
    assert "\nparams.yaml: sed is not a setting; did you mean seed?" in refused(run, project, "one")


def test_a_list_by_anchor_is_named_and_left_alone(run, project):
    path = project / "params.yaml"
    text = path.read_text().replace("train: [embedded]", "train: &sets [embedded]")
    path.write_text(text.replace("val: [embedded] ", "val: *sets "))
    assert "params.yaml: expected every key in it" in refused(run, project, "one", "--force")


@pytest.mark.parametrize("missing", ["params.yaml", "presets"])
def test_elsewhere_it_says_where_to_run_it(run, folder, missing):
    shutil.move(folder / missing, folder / "away")
    code, _, err = run("one")
    assert code == 2
    assert "not found; run this where params.yaml is, at the top of the project" in err


def preset_on_terminal():
    """What `degrain preset one` prints on a terminal."""
    terminal, end = os.openpty()
    script = "import sys; from degrain.cli import main; sys.exit(main())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", script, "preset", "one"]
    subprocess.run(command, stdout=end, check=True, env=environment)
    os.close(end)
    with os.fdopen(terminal, "rb") as shown:
        return shown.read1().decode()


def test_colours_are_for_terminals(run, project):
    shown = preset_on_terminal()
    assert "\x1b[31m-    train: [0, 55]\x1b[m" in shown
    assert "\x1b[32m+    train: [0, 75]\x1b[m" in shown
    git("checkout", "params.yaml")
    assert "\x1b" not in run("one")[1]


# --- the presets that come with degrain ---


def shipped(name):
    return yaml.safe_load(SHIPPED[name].read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_preset_gives_valid_params(default_values, name):
    values = overlaid(overlaid(default_values, shipped("default")), shipped(name))
    parse_params(values, name=f"params.yaml with presets/{name}.yaml")


@pytest.mark.parametrize("name", [name for name in SHIPPED if not name.endswith("-weights")])
def test_a_shipped_preset_validates_where_health_is_judged(default_values, name):
    """Only a state that was judged is kept as healthy; the presets of weights are as these were trained."""
    train = parse_params(overlaid(overlaid(default_values, shipped("default")), shipped(name))).train
    assert train.validate_every % train.health.window == 0


@pytest.mark.parametrize("name", ["grey", "colour"])
def test_a_preset_of_weights_is_their_last_leg(default_values, name):
    values = overlaid(overlaid(default_values, shipped("default")), shipped(f"{name}-weights"))
    params = parse_params(values)
    leg = json.loads(LEGS.read_text(encoding="utf-8"))[name][-1]
    for end, section in (("faithful", params.pretrain), ("realistic", params.train)):
        settings = section.model_dump(mode="json")
        assert {key: settings[key] for key in leg[end]["settings"]} == leg[end]["settings"]
    assert params.model.in_use == leg["model"]
    for section in ("patches", "augment"):
        assert getattr(params, section).model_dump(mode="json") == leg[section]
    assert list(params.noise.gaussian.train) == leg["noise"]["train"]


@pytest.mark.parametrize("name", ["grey", "colour"])
def test_a_preset_of_samples_is_what_trained_those_that_are_released(default_values, name):
    values = overlaid(overlaid(default_values, shipped("default")), shipped(f"{name}-sampling"))
    params = parse_params(values)
    leg = json.loads(LEGS.read_text(encoding="utf-8"))[name][-1]["sampling"]
    for told, section in ((leg["pretrain"], params.pretrain), (leg, params.train)):
        settings = section.model_dump(mode="json")
        assert {key: settings[key] for key in told["settings"]} == told["settings"]
    for section in ("patches", "augment"):
        assert getattr(params, section).model_dump(mode="json") == leg[section]
    assert list(params.noise.gaussian.train) == leg["noise"]["train"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_preset_changes_only_what_the_default_brings_back(name):
    assert overlaid(shipped("default"), shipped(name)).keys() == shipped("default").keys()
    assert names(shipped(name)) <= names(shipped("default"))


# The machine, limits for bad images, what no preset uses, and what is done with results.
FREE = ("compute.", "data.checks.", "data.mirror", "noise_model.", "model.dncnn.")
FREE += ("evaluate.", "promote.", "tracking.")


def test_every_setting_that_decides_a_result_stands_in_the_default(default_values):
    other_noise = tuple(f"noise.{kind}." for kind in default_values["noise"] if kind != "gaussian")
    left_open = names(default_values) - names(shipped("default"))
    assert {name for name in left_open if not name.startswith(FREE + other_noise)} == set()


EDITED = {
    "seed": 7,
    "data": {"train": ["polyu"], "val": ["polyu"], "test": ["polyu", "cc15"]},
    "noise": {"kind": "poisson", "real_test": True, "quantize": True},
    "model": {"generator": "dncnn", "unet": {"widths": [8, 16], "blocks": [1, 2]}},
    "validation": {"images": 2, "crop_px": 64},
    "pretrain": {"start": "none", "gradient_clip": 1.0, "weight_decay": 0.1, "warmup_steps": 3},
    "train": {
        "optimizer": "muon",
        "weight_decay": 0.1,
        "discriminator_lr": 0.001,
        "gradient_clip": 2.0,
        "pixel": {"loss": "mse", "weight": 2.0},
        "ms_ssim": {"weight": 0.1},
        "focal_frequency": {"weight": 0.1},
        "adversarial": {"loss": "lsgan"},
        "discriminator": {"kind": "patchgan", "width": 8, "minibatch_std": True, "conditional": True},
        "stabilisers": {
            "r1": {"weight": 1.0, "every": 4},
            "r2": {"weight": 1.0, "every": 4},
            "gradient_penalty": {"weight": 5.0},
            "label_smoothing": 0.1,
            "historical_averaging": {"weight": 0.1},
            "lecam": {"weight": 0.1, "decay": 0.9},
            "augmentation": {"enabled": True, "target": 0.5},
            "instance_noise": {"sigma_255": 10.0, "until": 1.0},
        },
        "health": {"enabled": False, "rescues": 0},
        "sampling": {"samples": 3},
    },
}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_preset_gives_the_same_params_whatever_they_were(run, folder, name):
    shutil.copytree(ROOT / "presets", folder / "presets", dirs_exist_ok=True)
    path = folder / "params.yaml"
    usual = path.read_text(encoding="utf-8")
    found = []
    for text in (usual, set_values(usual, EDITED)):
        path.write_text(text, encoding="utf-8")
        assert run(name, "--force")[0] == 0
        found.append(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert found[0] == found[1]


def names(values, prefix=""):
    found = set()
    for key, value in values.items():
        found |= names(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key}
    return found


def test_the_shipped_default_is_what_params_yaml_says(default_values):
    assert overlaid(default_values, shipped("default")) == default_values


def test_every_shipped_preset_says_what_it_is_for_in_one_line():
    for path in SHIPPED.values():
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith("# ")
        assert first.endswith(".")
