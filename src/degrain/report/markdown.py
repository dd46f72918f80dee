"""Markdown from values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Collection[int] = ()) -> str:
    """Rows of cells; the columns of these numbers are aligned to the right."""
    rule = ["---:" if index in right else "---" for index in range(len(columns))]
    return "".join(f"| {' | '.join(map(_cell, row))} |\n" for row in (columns, rule, *rows))


def image(text: str, link: str) -> str:
    """A picture, with what it shows for those who cannot see it."""
    return f"![{text}]({link})"


def section(title: str, body: str) -> str:
    """A heading and what follows it; nothing at all without a body."""
    return f"### {title}\n\n{body.strip()}\n\n" if body.strip() else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
