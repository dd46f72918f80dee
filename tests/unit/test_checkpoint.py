"""Checkpoints: what voids them, what a killed process leaves, who may use them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
import torch
import yaml

from degrain.errors import DegrainError
from degrain.stages._alone import alone
from degrain.training.checkpoint import Checkpoint, stage_key
from support import ROOT

PATIENCE_S = 60.0


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    """A dvc.yaml of two stages, and the files that they depend on."""
    stages = {
        "pretrain": {"params": ["seed", "model", "data.channels"], "deps": ["code.py", "data"]},
        "train": {"params": ["seed", "train"], "deps": ["code.py"]},
    }
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (tmp_path / "data" / "deep" / "__pycache__").mkdir(parents=True)
    for name in ("code.py", "other.py", "data/a.png", "data/deep/b.png"):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_the_key_changes_with_what_the_stage_depends_on(pipeline, make_params):
    first = stage_key("pretrain", make_params())
    assert stage_key("pretrain", make_params()) == first
    seen = {first, stage_key("train", make_params())}
    for changes in ({"seed": 1}, {"model": {"generator": "dncnn"}}, {"data": {"channels": 1}}):
        seen.add(stage_key("pretrain", make_params(changes)))
    assert len(seen) == 5
    for name in ("code.py", "data/a.png", "data/deep/b.png", "data/new.png"):
        (pipeline / name).write_text("changed")
        seen.add(stage_key("pretrain", make_params()))
    (pipeline / "data/new.png").rename(pipeline / "data/newer.png")
    seen.add(stage_key("pretrain", make_params()))
    assert len(seen) == 10
    (pipeline / "data/newer.png").unlink()
    assert stage_key("pretrain", make_params()) in seen  # as it was before that file came


def test_the_key_does_not_change_with_anything_else(pipeline, make_params):
    first = stage_key("pretrain", make_params())
    (pipeline / "other.py").write_text("changed")
    (pipeline / "data" / "deep" / "__pycache__" / "b.pyc").write_text("compiled")
    os.utime(pipeline / "code.py", (1, 1))
    changes = {"train": {"lr": 0.5}, "tracking": {"pictures": 0}, "data": {"min_side": 99}}
    assert stage_key("pretrain", make_params(changes)) == first


def test_the_key_of_the_real_pipeline_covers_its_params(monkeypatch, make_params, tmp_path):
    """All that dvc.yaml names is there to be read; the files are left out, for data may be missing."""
    declared = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for stage in ("pretrain", "train"):
        declared[stage]["deps"] = []
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": declared}))
    monkeypatch.chdir(tmp_path)
    for stage, other in (("pretrain", "train"), ("train", "pretrain")):
        first = stage_key(stage, make_params())
        assert stage_key(stage, make_params({"noise": {"kind": "poisson"}})) != first
        assert stage_key(stage, make_params({stage: {"lr": 0.5}})) != first
        assert stage_key(stage, make_params({other: {"lr": 0.5}})) == first


def saved(root, state=None):
    checkpoint = Checkpoint("train", "key", root=root)
    checkpoint.save(state or {"step": 3, "weights": {"w": torch.arange(5000.0)}, "curve": [{"a": 0.1}]})
    return checkpoint


def test_what_was_saved_is_loaded(tmp_path):
    assert Checkpoint("train", "key", root=tmp_path).load() is None
    state = saved(tmp_path).load()
    assert (state["step"], state["curve"]) == (3, [{"a": 0.1}])
    assert torch.equal(state["weights"]["w"], torch.arange(5000.0))
    assert Checkpoint("train", "another", root=tmp_path).load() is None
    assert Checkpoint("pretrain", "key", root=tmp_path).load() is None


def test_a_failed_save_keeps_the_last_checkpoint(tmp_path):
    checkpoint = saved(tmp_path)
    with pytest.raises(Exception, match="pickle"):
        checkpoint.save({"step": lambda: None})
    assert checkpoint.load()["step"] == 3
    assert [path.name for path in checkpoint.folder.iterdir()] == ["state.pt"]


@pytest.mark.parametrize("damage", ["empty", "header", "half", "tail", "text", "zeros"])
def test_a_damaged_checkpoint_is_named_and_what_to_do(tmp_path, damage):
    checkpoint = saved(tmp_path)
    data = checkpoint.path.read_bytes()
    checkpoint.path.write_bytes(
        {
            "empty": b"",
            "header": data[:5],
            "half": data[: len(data) // 2],
            "tail": data[:-10],
            "text": b"no checkpoint at all",
            "zeros": bytes(len(data)),
        }[damage]
    )
    with pytest.raises(DegrainError, match=r"state\.pt: not a checkpoint .*; delete it to start afresh$"):
        checkpoint.load()


def test_a_file_that_would_run_code_is_refused(tmp_path):
    checkpoint = Checkpoint("train", "key", root=tmp_path)
    checkpoint.folder.mkdir(parents=True)
    torch.save({"step": print}, checkpoint.path)
    with pytest.raises(DegrainError, match="not a checkpoint that can be resumed"):
        checkpoint.load()


# --- processes ---

# Neither the lock nor the end of a checkpoint needs torch, which takes seconds to import.
WITHOUT_TORCH = """
import sys, types
sys.modules["torch"] = types.ModuleType("torch")
"""
HOLD = f"""{WITHOUT_TORCH}
import logging
from pathlib import Path
from degrain.stages._alone import alone
logging.basicConfig(level=logging.WARNING, format="%(message)s")
print("ready", flush=True)
sys.stdin.readline()
with alone("train", root=Path("locks")):
    print("holds", flush=True)
    sys.stdin.readline()
"""


def python(code, folder, *arguments, by=()):
    """Run code in a process of its own, or one that the command `by` starts."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    command = [*by, sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes)


def say(process):
    process.stdin.write("\n")
    process.stdin.flush()


def wait_for(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize("ending", ["returns", "killed"])
def test_a_second_process_waits_and_says_for_whom(tmp_path, ending):
    first, second = (python(HOLD, tmp_path) for _ in range(2))
    try:
        assert [process.stdout.readline() for process in (first, second)] == ["ready\n", "ready\n"]
        say(first)
        assert first.stdout.readline() == "holds\n"
        say(second)
        warning = second.stderr.readline()
        assert f"train is still being run in this folder by process {first.pid}" in warning
        assert f"waiting for it to end (kill {first.pid} ends it" in warning
        time.sleep(0.2)
        assert second.poll() is None
        assert (tmp_path / "locks" / "train.pid").read_text() == f"{first.pid}\n"
        say(first) if ending == "returns" else first.kill()
        assert second.stdout.readline() == "holds\n"
        assert (tmp_path / "locks" / "train.pid").read_text() == f"{second.pid}\n"
        say(second)
        assert second.wait(PATIENCE_S) == 0
        assert not (tmp_path / "locks" / "train.pid").exists()
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()


def test_the_lock_of_one_stage_leaves_others_free_and_comes_free_after_an_error(tmp_path, caplog):
    with pytest.raises(KeyError), alone("train", root=tmp_path), alone("pretrain", root=tmp_path):
        raise KeyError
    with alone("train", root=tmp_path):
        assert (tmp_path / "train.pid").read_text() == f"{os.getpid()}\n"
    assert caplog.text == ""


FINISH = f"""{WITHOUT_TORCH}
import time
from pathlib import Path
from degrain.training.checkpoint import Checkpoint
checkpoint = Checkpoint("train", "key", root=Path("checkpoints"))
checkpoint.folder.mkdir(parents=True)
checkpoint.path.touch()
Path("saved").touch()
while not Path("go").exists():
    time.sleep(0.02)
checkpoint.finish()
Path("finished").touch()
"""
# As dvc does: by a shell, which stays between the two or becomes the stage.
START = f"""
import subprocess, sys, shlex
stage = shlex.join([sys.executable, "-c", {FINISH!r}])
command = {{"stays": stage + "; true", "becomes the stage": "exec " + stage}}[sys.argv[1]]
child = subprocess.Popen(command, shell=True, start_new_session=True)
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.parametrize("shell", ["stays", "becomes the stage"])
@pytest.mark.parametrize("parent", ["lives", "is killed"])
def test_a_checkpoint_is_deleted_only_if_somebody_takes_the_outputs_over(tmp_path, parent, shell):
    starter = python(START, tmp_path, shell)
    group = int(starter.stdout.readline())
    try:
        wait_for((tmp_path / "saved").exists)
        if parent == "is killed":
            starter.kill()
            starter.wait(PATIENCE_S)
        (tmp_path / "go").touch()
        wait_for((tmp_path / "finished").exists)
        kept = (tmp_path / "checkpoints" / "train" / "key" / "state.pt").exists()
        assert kept == (parent == "is killed")
    finally:
        starter.kill()
        starter.communicate()
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


@pytest.mark.parametrize("shell", ["stays", "becomes the stage"])
def test_a_checkpoint_is_deleted_though_what_started_dvc_is_gone(tmp_path, shell):
    """As after `nohup dvc repro &` in a shell that has ended."""
    outer = python(START, tmp_path, shell, by=["sh", "-c", '"$@"; true', "sh"])
    group = int(outer.stdout.readline())
    try:
        wait_for((tmp_path / "saved").exists)
        outer.kill()
        outer.wait(PATIENCE_S)
        (tmp_path / "go").touch()
        wait_for((tmp_path / "finished").exists)
        assert not (tmp_path / "checkpoints" / "train" / "key").exists()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        outer.kill()
        outer.communicate()
