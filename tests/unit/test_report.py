from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from degrain.errors import DegrainError
from degrain.files import read_image, sha256_file
from degrain.report.changes import metrics_table, params_table
from degrain.report.comment import MARKER, MODEL, write_report
from degrain.report.curves import draw_curves
from degrain.report.decision import decision_markdown, read_decision
from degrain.report.links import Links
from degrain.report.markdown import table
from degrain.report.revisions import Change, changed_metrics, changed_params, commit_of, file_at
from support import ROOT

PICTURE = Path("reports/pictures/a b.png")
CURVES = "step,pixel,val_psnr\n1,0.5,20\n2,0.4,{last}\n"


def git(*arguments: str) -> str:
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org")
    return subprocess.run(
        ["git", *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def write(path: str | Path, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8")


def results(psnr: float) -> None:
    figures = {"noisy": 20.0, "mean": 25.0, "pretrained": 28.0, "adversarial": psnr}
    metrics = {name: {"sigma_25": {"psnr": value}} for name, value in figures.items()}
    write("reports/metrics.json", json.dumps({"methods": metrics}))
    write(
        "reports/table.md", f"| method | sigma 25 |\n| --- | ---: |\n| **degrain**, adversarial | {psnr} |\n"
    )
    write("reports/curves/train.csv", CURVES.format(last=psnr))
    write(PICTURE, f"a picture at {psnr}")


@pytest.fixture
def repository(tmp_path, monkeypatch) -> str:
    """A project with results in it, committed, and trained anew since; returns the commit."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    git("init", "--quiet", "--initial-branch", "main")
    write(".dvc/config", "[core]\n    analytics = false\n")
    write(".gitignore", "/site\n/.dvc/tmp\n")
    write("dvc.yaml", "params: [params.yaml]\nmetrics: [reports/metrics.json]\n")
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    write("params.yaml", params)
    results(28.5)
    git("add", ".")
    git("commit", "--quiet", "--message", "trained")
    write("params.yaml", params.replace("kind: gaussian\n", "kind: poisson\n"))
    results(29.25)
    return git("rev-parse", "HEAD")


def commit() -> str:
    git("add", ".")
    git("commit", "--quiet", "--message", "trained anew")
    return git("rev-parse", "HEAD")


def test_params_and_metrics_are_compared_with_a_commit(repository: str) -> None:
    assert changed_metrics(repository) == [Change("methods.adversarial.sigma_25.psnr", 28.5, 29.25)]
    with pytest.raises(DegrainError, match="no such commit here"):
        commit_of("nonsense")
    assert commit_of("main") == repository
    assert file_at(repository, PICTURE) == b"a picture at 28.5"
    assert file_at(repository, Path("nowhere")) is None


def test_report_on_a_desk_refers_to_files_beside_it(repository: str) -> None:
    write_report(Path("out/report.md"), against="main")
    text = Path("out/report.md").read_text(encoding="utf-8")
    assert text.startswith(f"{MARKER}\n")
    assert f"Compared with main, commit `{repository[:12]}`." in text
    assert "| degrain, adversarial | sigma 25 | psnr | 28.5 | 29.25 | +0.7500 |" in text
    assert "(../reports/pictures/a%20b.png)" in text
    assert "(report_before/a%20b.png)" in text
    assert Path("out/report_before/a b.png").read_text(encoding="utf-8") == "a picture at 28.5"
    assert "(../reports/curves.png)" in text


def test_report_on_a_forge_refers_to_the_commits_and_to_nothing_that_they_lack(repository: str) -> None:
    address = "https://forge.example/raw"
    with pytest.raises(DegrainError, match=r"reports/curves\.png: not in the commit .* commit it first"):
        write_report(Path("report.md"), against=repository, address=address)
    now = commit()
    write_report(Path("report.md"), against=repository, address=address)
    text = Path("report.md").read_text(encoding="utf-8")
    assert f"Compared with commit `{repository[:12]}`." in text
    assert f"({address}/{repository}/reports/pictures/a%20b.png)" in text
    assert f"({address}/{now}/reports/pictures/a%20b.png)" in text
    assert f"({address}/{now}/reports/curves.png)" in text
    assert not Path("report_before").exists()


def test_changed_params_are_named(repository: str) -> None:
    assert changed_params(repository) == [Change("noise.kind", "gaussian", "poisson")]
    assert "| `noise.kind` | `gaussian` | `poisson` |" in params_table(changed_params(repository))


def test_curves_are_a_picture_with_the_same_bytes_for_the_same_curves(repository: str) -> None:
    assert draw_curves(repository, Path("one.png"))
    assert draw_curves(repository, Path("two.png"))
    assert Path("one.png").read_bytes() == Path("two.png").read_bytes()
    write("reports/curves/train.csv", CURVES.format(last=15))
    assert draw_curves(repository, Path("two.png"))
    assert read_image(Path("one.png")).shape == read_image(Path("two.png")).shape
    assert Path("one.png").read_bytes() != Path("two.png").read_bytes()
    Path("reports/curves/train.csv").unlink()
    assert not draw_curves(repository, Path("three.png"))


def test_metrics_of_other_methods_are_counted_and_new_ones_not_compared() -> None:
    ours = Change("methods.adversarial.gain_0.01.psnr", 30, 29.5)
    text = metrics_table([ours, Change("methods.mean.gain_0.01.psnr", 25.0, 25.5)])
    assert "| degrain, adversarial | gain 0.01 | psnr | 30 | 29.5 | -0.5000 |" in text
    assert "Figures of other methods changed too (1)" in text
    assert metrics_table([ours._replace(before=None)]) == "There were none before.\n"
    assert metrics_table([]) == "None.\n"


def test_decision_shows_every_rule(tmp_path) -> None:
    verdict = {"rule": "gain", "figure": 0.1234567, "relation": ">=", "limit": 0.05, "unit": "dB"}
    decision = {
        "outcome": "refused",
        "champion": "c" * 64,
        "verdicts": [
            verdict | {"passed": True, "note": ""},
            verdict | {"rule": "size", "passed": False, "note": "a | b"},
            verdict | {"rule": "told", "passed": False, "counts": False, "note": ""},
        ],
    }
    file = tmp_path / "decision.json"
    file.write_text(json.dumps(decision), encoding="utf-8")
    text = decision_markdown(read_decision(file))
    assert text.startswith("Refused; champion `cccccccccccc`.")
    assert "| gain | 0.1235 dB | >= 0.05 dB | passed |  |" in text
    assert "| size | 0.1235 dB | >= 0.05 dB | **failed** | a \\| b |" in text
    assert "| told | 0.1235 dB | >= 0.05 dB | for information |  |" in text
    file.write_text("[]", encoding="utf-8")
    with pytest.raises(DegrainError, match="expected a decision"):
        read_decision(file)


def test_report_shows_the_decision_on_the_model_that_is_here(repository: str) -> None:
    write(MODEL, "weights")
    decision = {"outcome": "promoted", "dry_run": True, "challenger": sha256_file(MODEL), "verdicts": []}
    write("decision.json", json.dumps(decision))
    write_report(Path("report.md"), against="main", decision=Path("decision.json"))
    text = Path("report.md").read_text(encoding="utf-8")
    assert "## Retraining: would be promoted\n" in text
    assert "Would be promoted; no champion yet." in text
    write(MODEL, "other weights")
    with pytest.raises(DegrainError, match="a decision on the model"):
        write_report(Path("report.md"), against="main", decision=Path("decision.json"))


def test_cells_cannot_break_a_table() -> None:
    assert table(["a"], [["x|y\nz"]]) == "| a |\n| --- |\n| x\\|y z |\n"


def test_links_keep_what_a_name_holds(tmp_path) -> None:
    links = Links(tmp_path / "r.md", "b" * 40, "a" * 40, "https://forge.example/raw")
    assert links.to_past(Path("x y#1.png"), b"") == f"https://forge.example/raw/{'b' * 40}/x%20y%231.png"
