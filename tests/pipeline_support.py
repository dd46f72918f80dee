"""A scratch project with a tiny pipeline, driven by the real DVC."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import skimage.data
import yaml
from PIL import Image

from degrain.files import sha256_file, write_image
from support import ROOT, SMALL, merged

STAGES = ("sources", "download", "synthesize", "pretrain", "train", "evaluate")
NOWHERE = "http://127.0.0.1:9"  # nothing answers there, so that no time goes into MLflow
PATIENCE_S = 300.0
PHOTOS = {
    "train": {"coffee": (100, 200), "rocket": (60, 250)},
    "val": {"chelsea": (90, 120)},
    "test": {"astronaut": (40, 180)},
}
TINY = SMALL | {
    "compute": SMALL["compute"] | {"threads": 2},
    "data": {split: [f"folder:images/{split}"] for split in PHOTOS} | {"min_side": 48},
    "patches": {"side_px": 48, "stride": 24},
    "noise": {"gaussian": {"test": [25, 50]}, "poisson_gaussian": {"test": [0.01]}},
    "evaluate": {"zoom_px": 16},
}
# Part of no stage's deps, like the progress line that calls it: so it changes neither results nor keys.
HOLD = '''"""Stops a training at a wished step for as long as the wish stands."""

import os
import time
from pathlib import Path


def hold(stage, step):
    wish = Path(f"hold-{stage}")
    if wish.exists() and wish.read_text() == str(step):
        Path(f"holding-{stage}").write_text(str(os.getpid()))
        Path(f"holding-{stage}").rename(f"held-{stage}")
        while wish.exists():
            time.sleep(0.02)
'''


@dataclass
class Project:
    """A folder with the pipeline in it, and the environment its commands run in."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __truediv__(self, path: str) -> Path:
        return self.folder / path

    def command(self, *command: str, code: int = 0) -> str:
        """What a command that must end with `code` prints."""
        # To a file: a pipe would be held open, and waited for, by what the command leaves in the background.
        with tempfile.TemporaryFile() as out:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=self._environment(),
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=PATIENCE_S,
                check=False,
            )
            printed = os.pread(out.fileno(), os.fstat(out.fileno()).st_size, 0).decode()  # moves no writer
        assert done.returncode == code, f"{command} ended with {done.returncode}:\n{printed}"
        return printed

    def dvc(self, *arguments: str, code: int = 0) -> str:
        return self.command("dvc", *arguments, code=code)

    def git(self, *arguments: str) -> str:
        return self.command("git", *arguments)

    def start(self, *command: str, log: Path) -> subprocess.Popen[str]:
        """A command in a process group of its own, printing to the file `log`."""
        with log.open("w", encoding="utf-8") as out:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self._environment(),
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def start_and_hold(self, stage: str, step: int) -> subprocess.Popen[str]:
        """Run one stage by DVC up to a step, where it waits for `release`."""
        (self / f"hold-{stage}").write_text(str(step))
        log = self / ".dvc/tmp/held.log"
        process = self.start("dvc", "repro", "--force", "--single-item", stage, log=log)
        wait_for((self / f"held-{stage}").exists, process, log)
        return process

    def release(self, stage: str) -> None:
        (self / f"hold-{stage}").unlink()
        (self / f"held-{stage}").unlink()

    def change_params(self, changes: dict[str, Any]) -> None:
        values = yaml.safe_load((self / "params.yaml").read_text(encoding="utf-8"))
        text = yaml.safe_dump(merged(values, changes), sort_keys=False)
        (self / "params.yaml").write_text(text, encoding="utf-8")

    def replace(self, path: str, old: str, new: str) -> None:
        """Edit a file in which `old` stands once."""
        text = (self / path).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{path}: {old!r} stands {text.count(old)} times in it"
        (self / path).write_text(text.replace(old, new), encoding="utf-8")

    def forget(self, stage: str) -> None:
        """Let DVC know of no earlier run of a stage, so that it can only run it."""
        shutil.rmtree(self / ".dvc/cache/runs")
        lock = self.lock()
        del lock["stages"][stage]
        (self / "dvc.lock").write_text(yaml.safe_dump(lock), encoding="utf-8")

    def lock(self) -> dict[str, Any]:
        """What stands in dvc.lock."""
        lock: dict[str, Any] = yaml.safe_load((self / "dvc.lock").read_text(encoding="utf-8"))
        return lock

    def hashes(self, *paths: str) -> dict[str, str]:
        """SHA-256 of the files, and of the files in the folders."""
        files = [file for path in paths for file in [self / path, *(self / path).rglob("*")]]
        return {str(file.relative_to(self.folder)): sha256_file(file) for file in files if file.is_file()}

    def stop(self) -> None:
        """End what was started here, and what it left behind."""
        for process in self.started:
            kill_group(process)
        for process in psutil.process_iter():
            if _works_in(process, self.folder):
                process.kill()

    def _environment(self) -> dict[str, str]:
        prefixes = ("MLFLOW_", "DVC_", "GIT_", "PYTHON")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
        return clean | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            # As if the package were installed from this folder, editable.
            "PYTHONPATH": str(self / "src"),
            "DVC_SITE_CACHE_DIR": str(self / ".dvc/tmp/site"),
            "OMP_NUM_THREADS": "1",
            **self.variables,
        }


def create_project(folder: Path) -> Project:
    """The working tree of the repository with tiny params and photographs, committed."""
    _copy_tree(folder)
    project = Project(folder)
    project.change_params(TINY)
    for split, photos in PHOTOS.items():
        for name, (top, left) in photos.items():
            write_photo(project / f"images/{split}/{name}.png", name, top, left)
    # A checkpoint after every step, and a place to stop at.
    project.replace("src/degrain/training/loop.py", "CHECKPOINT_SECONDS = 20.0", "CHECKPOINT_SECONDS = 0.0")
    update = "        self._bar.update()\n"
    project.replace(
        "src/degrain/training/progress.py", update, f"{update}        hold(self._bar.desc, self._bar.n)\n"
    )
    project.replace(
        "src/degrain/training/progress.py",
        "from tqdm import tqdm\n",
        "from tqdm import tqdm\n\nfrom hold import hold\n",
    )
    (project / "src/hold.py").write_text(HOLD, encoding="utf-8")
    project.git("init", "--quiet", "--initial-branch", "main")
    project.git("config", "user.name", "Tester")
    project.git("config", "user.email", "tester@example.org")
    project.git("add", ".")
    project.git("commit", "--quiet", "--message", "tiny")
    return project


def copy_project(project: Project, folder: Path, **variables: str) -> Project:
    shutil.copytree(project.folder, folder, symlinks=True)
    return Project(folder, variables)


def write_photo(path: Path, name: str, top: int, left: int, side: int = 64) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = getattr(skimage.data, name)()[top : top + side, left : left + side + 6]
    Image.fromarray(pixels).save(path)


def shoot(folder: Path, sigma_255: float, count: int = 8) -> None:
    """Photographs of several scenes by a camera with this noise."""
    random = np.random.default_rng(int(sigma_255))
    places = itertools.product(range(0, 400, 128), repeat=2)
    for index, (top, left) in enumerate(itertools.islice(places, count)):
        clean = skimage.data.astronaut()[top : top + 96, left : left + 96]
        noisy = clean + random.normal(0, sigma_255, clean.shape)
        write_image(folder / f"{index}.png", (noisy / 255).astype(np.float32))


def stages_run(output: str) -> list[str]:
    """The stages whose command ran, in order; not those restored from the run cache."""
    lines = output.splitlines()
    ran = [stage for line in lines for stage in STAGES if line == f"Running stage '{stage}':"]
    return [
        stage
        for stage in ran
        if f"Stage '{stage}' is cached - skipping run, checking out outputs" not in lines
    ]


def has_ended(process: psutil.Process) -> bool:
    """Whether nothing runs any more, though perhaps nobody has asked for its exit code."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str], log: Path) -> None:
    """Wait until the condition holds, which it must while `process`, printing to `log`, is running."""
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert process.poll() is None, f"ended with {process.returncode}:\n{log.read_text()}"
        assert time.monotonic() < end_s, log.read_text()
        time.sleep(0.05)


def kill_group(process: subprocess.Popen[str]) -> None:
    """End a process and all that it started, without any warning."""
    group = [one for one in psutil.process_iter() if _group(one) == process.pid]
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    while not all(map(has_ended, group)):
        time.sleep(0.02)


class StoredRun(NamedTuple):
    """A run in MLflow's database."""

    run_id: str
    status: str
    tags: dict[str, str]
    steps: list[int]


def stored_runs(project: Project, stage: str) -> list[StoredRun]:
    """The runs of a stage, oldest first; `steps` are those of the pixel loss."""
    with contextlib.closing(sqlite3.connect(project / "mlflow.db")) as database:
        rows = database.execute("select run_uuid, status from runs order by start_time").fetchall()
        found = [StoredRun(*row, *_tags_and_steps(database, row[0])) for row in rows]
    return [run for run in found if run.tags["dvc.stage"] == stage]


def _tags_and_steps(database: sqlite3.Connection, run_id: str) -> tuple[dict[str, str], list[int]]:
    tags = database.execute("select key, value from tags where run_uuid = ?", (run_id,))
    points = "select step from metrics where run_uuid = ? and key = 'pixel' order by step"
    return dict(tags), [step for (step,) in database.execute(points, (run_id,))]


def _copy_tree(folder: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).is_file() and not _is_left_out(name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def _is_left_out(name: str) -> bool:
    """What the tiny pipeline does not need, and the results of the big one."""
    if name == "reports/bm3d.json":
        return False
    return name == "dvc.lock" or name.startswith(("tests/", "docs/", "reports/"))


def _group(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return None


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()).is_relative_to(folder)
    except (psutil.Error, OSError):
        return False
