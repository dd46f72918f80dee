"""The comment: what was trained, what changed, what the gate says of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from degrain.errors import DegrainError
from degrain.evaluation.tables import result_table
from degrain.files import sha256_file, write_text
from degrain.params import load_params
from degrain.report.changes import metrics_table, params_table
from degrain.report.curves import draw_curves
from degrain.report.decision import check_is_of, decision_markdown, outcome, read_decision
from degrain.report.links import Links
from degrain.report.markdown import image, section, table
from degrain.report.revisions import changed_metrics, changed_params, commit_of, file_at
from degrain.tracking import RunLink, runs_of_model

# The first line: whoever posts the comment finds by it the one to replace.
MARKER = "<!-- degrain report -->"
REPORTS = Path("reports")
CURVES, PICTURES = REPORTS / "curves.png", REPORTS / "pictures"
MODEL = Path("models/train/generator.safetensors")
PICTURES_SHOWN = 3


def write_report(
    output: Path, *, against: str, decision: Path | None = None, address: str | None = None
) -> None:
    """Write the comment, and draw reports/curves.png for it.

    Parameters
    ----------
    output : the Markdown file.
    against : branch, tag or commit to compare with.
    decision : what `degrain promote --output` wrote.
    address : where git's files can be fetched, as ADDRESS/COMMIT/PATH; None: files beside the report.

    Raises
    ------
    DegrainError : there are no results, no such commit, a decision on another model, or a picture that the
        address cannot have.
    """
    links = Links(output, commit_of(against), commit_of("HEAD"), address)
    write_text(output, "".join(_parts(links, against, decision)))


def _parts(links: Links, against: str, decision: Path | None) -> Iterator[str]:
    results = result_table(REPORTS)
    verdict = read_decision(decision) if decision else None
    if decision and verdict and MODEL.exists():
        check_is_of(verdict, sha256_file(MODEL), decision)
    drawn = draw_curves(links.before, CURVES)
    curves = image("curves", links.to_present(CURVES)) if drawn else ""
    pictures = "\n".join(_pictures(links))
    yield f"{MARKER}\n## Retraining{': ' + outcome(verdict) if verdict else ''}\n\n"
    name = "" if links.before.startswith(against) else f"{against}, "
    yield f"Compared with {name}commit `{links.before[:12]}`.\n\n"
    yield section("Gate", decision_markdown(verdict) if verdict else "Not asked.")
    yield section("Params", params_table(changed_params(links.before)))
    yield section("Metrics", metrics_table(changed_metrics(links.before)))
    yield section("Results", results)
    yield section("Curves", curves)
    yield section("Pictures", pictures)
    yield section("Runs", _runs())


def _pictures(links: Links) -> Iterator[str]:
    """The first pictures, each as it was and as it is."""
    found = sorted(PICTURES.glob("*.png"))
    for path in found[:PICTURES_SHOWN]:
        before, now = file_at(links.before, path), path.read_bytes()
        if before == now:
            yield f"{path.stem}, unchanged:\n\n{image(path.stem, links.to_present(path))}\n"
            continue
        if before is not None:
            yield f"{path.stem}, before:\n\n{image('before', links.to_past(path, before))}\n"
        yield f"{path.stem}, now:\n\n{image('now', links.to_present(path))}\n"
    if len(found) > PICTURES_SHOWN:
        yield f"{len(found) - PICTURES_SHOWN} more lie in `{PICTURES}`.\n"


def _runs() -> str:
    """The runs that trained and evaluated the model; why none can be named, where that is so."""
    if not MODEL.exists():
        return f"`{MODEL}` is not here (`dvc pull`), so its runs cannot be found.\n"
    sha256 = sha256_file(MODEL)
    try:
        runs = runs_of_model(sha256, load_params().tracking.experiment)
    except (DegrainError, OSError) as error:
        return f"Model `{sha256[:12]}`; MLflow cannot be asked for its runs: {error}\n"
    rows = [[run.stage, _link(run)] for run in runs]
    known = table(["stage", "run"], rows) if rows else "MLflow knows none.\n"
    return f"Model `{sha256[:12]}`.\n\n{known}"


def _link(run: RunLink) -> str:
    return f"[{run.run_id}]({run.address})" if run.address else f"`{run.run_id}` (`make ui`)"
