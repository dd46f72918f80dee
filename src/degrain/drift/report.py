"""The report of a check: a page that holds its pictures, and the same as JSON."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from string import Template

from degrain.codecs import decode
from degrain.codecs.png import encode_png
from degrain.drift.compare import Comparison, Spread
from degrain.drift.features import FEATURES
from degrain.drift.plots import against_brightness, distributions
from degrain.drift.result import Result
from degrain.files import read_bytes, to_8_bit_pixels, write_json, write_text

PAGE = Path(__file__).with_name("page.html")
MOST_PICTURES, PICTURE_PX = 6, 160


def write_report(folder: Path, result: Result) -> None:
    """Write `drift.json` and `drift.html`, which needs no other file."""
    checked = datetime.now(UTC).isoformat(timespec="seconds")
    facts = {
        "drift": bool(result.drifted),
        "drifted": [one.feature for one in result.drifted],
        "checked": checked,
        "images": len(result.incoming),
        "unreadable": [str(error) for error in result.unreadable],
        "reference": {"source": str(result.source), "images": len(result.reference)},
        "settings": asdict(result.settings),
        "features": {one.feature: asdict(one) for one in result.comparisons},
    }
    write_json(folder / "drift.json", facts)
    write_text(folder / "drift.html", _page(result, checked))


def _page(result: Result, checked: str) -> str:
    settings = result.settings
    return Template(PAGE.read_text(encoding="utf-8")).substitute(
        verdict=escape(result.verdict),
        state="drift" if result.drifted else "same",
        counts=escape(result.counts),
        checked=checked,
        significance=f"{settings.significance:g}",
        least_distance=f"{settings.least_distance:g}",
        changes="".join(f"<li>{escape(str(one))}</li>" for one in result.drifted),
        rows="".join(map(_row, result.comparisons)),
        plots="".join(f"<figure>{plot}</figure>" for plot in _plots(result)),
        pictures="".join(_pictures(result)),
        unreadable="".join(f"<li>{escape(str(error))}</li>" for error in result.unreadable),
    )


def _row(one: Comparison) -> str:
    """A line of the table."""
    feature = FEATURES[one.feature]
    cells = [
        f"{escape(feature.title)}<small>{escape(feature.meaning)} · {one.feature}</small>",
        _spread(one.reference),
        _spread(one.incoming),
        escape(feature.unit),
        f'<i style="--share: {one.distance:.0%}"></i> {one.distance:.2f}',
        f"{one.p_value:.2g}",
        "drift" if one.drifted else "–",
    ]
    marked = ' class="drifted"' if one.drifted else ""
    return f"<tr{marked}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>\n"


def _spread(values: Spread) -> str:
    return f"{values.median:.3g}<small>{values.lower:.3g} to {values.upper:.3g}</small>"


def _plots(result: Result) -> Iterator[str]:
    yield against_brightness(result.reference, result.incoming)
    for one in result.comparisons:
        yield distributions(one.feature, result.reference, result.incoming, drifted=one.drifted)


def _pictures(result: Result) -> Iterator[str]:
    """The middles of the images that are farthest from the reference, with their file names."""
    for name in _farthest(result):
        path = Path(name)
        pixels = to_8_bit_pixels(decode(read_bytes(path), path), int(result.incoming["channels"].iloc[0]))
        top, left = (max(0, (side - PICTURE_PX) // 2) for side in pixels.shape[:2])
        png = encode_png(pixels[top : top + PICTURE_PX, left : left + PICTURE_PX])
        data = base64.b64encode(png).decode()
        yield (
            f'<figure><img alt="" src="data:image/png;base64,{data}">'
            f"<figcaption>{escape(name)}</figcaption></figure>\n"
        )


def _farthest(result: Result) -> list[str]:
    """Names of the images that came in, by the sum of what has drifted, in quartile distances."""
    far = sum(
        (
            (result.incoming[one.feature] - one.reference.median).abs().fillna(0)
            / max(one.reference.upper - one.reference.lower, 1e-9)
            for one in result.drifted
        ),
        start=0 * result.incoming["megapixels"],
    )
    order = far.sort_values(ascending=False, kind="stable").index[:MOST_PICTURES]
    return list(result.incoming["name"][order]) if result.drifted else []
