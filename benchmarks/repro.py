"""What a newcomer waits for: `dvc repro` in a fresh clone, timed stage by stage, with its peak memory.

    python benchmarks/repro.py [--precision float32] [--output reports/repro.json]

The clone has no cache, so every stage really runs. It is left behind for a look.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from degrain.files import write_json


def main() -> None:
    """Clone, run, measure, write."""
    options = _parse()
    clone = Path(tempfile.mkdtemp(prefix="degrain-repro-")) / "degrain"
    subprocess.run(["git", "clone", "--quiet", ".", str(clone)], check=True)
    if options.precision:
        params = clone / "params.yaml"
        text = params.read_text(encoding="utf-8")
        params.write_text(
            re.sub(r"precision: \w+", f"precision: {options.precision}", text, count=1), encoding="utf-8"
        )
    stages, peak = run(clone)
    report = {
        "command": "dvc repro in a fresh clone",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "precision": options.precision or "auto",
        "seconds": {"total": round(sum(stages.values())), **{name: round(s) for name, s in stages.items()}},
        "peak_memory_gb": round(peak / 1e9, 2),
    }
    write_json(options.output, report)
    print(report, clone, sep="\n")


def run(clone: Path) -> tuple[dict[str, float], int]:
    """Seconds of each stage, and the largest memory (bytes) of dvc and all its children together."""
    # No thread limits or store of the caller's.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "MLFLOW_"))}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    process = subprocess.Popen(
        ["dvc", "repro"], cwd=clone, env=environment, stdout=subprocess.PIPE, text=True
    )
    peak = Peak(process.pid)
    started: list[tuple[str, float]] = []
    assert process.stdout
    for line in process.stdout:
        print(line, end="", flush=True)
        if found := re.match(r"Running stage '(\w+)'", line):
            started.append((found[1], time.monotonic()))
    if process.wait():
        sys.exit(process.returncode)
    ends = [at for _, at in started[1:]] + [time.monotonic()]
    return {name: end - at for (name, at), end in zip(started, ends, strict=True)}, peak.stop()


class Peak:
    """Samples the memory of a process tree ten times a second."""

    def __init__(self, pid: int) -> None:
        self._process, self._largest, self._ended = psutil.Process(pid), 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            try:
                family = [self._process, *self._process.children(recursive=True)]
                self._largest = max(self._largest, sum(member.memory_info().rss for member in family))
            except psutil.NoSuchProcess:
                continue

    def stop(self) -> int:
        """The largest sum seen, in bytes."""
        self._ended.set()
        self._thread.join()
        return self._largest


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", info.read_text(encoding="utf-8")) if info.exists() else []
    return names[0] if names else "unknown"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", choices=["float32", "bfloat16"])
    parser.add_argument("--output", type=Path, default=Path("reports/repro.json"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
