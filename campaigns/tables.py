"""Markdown tables, and the pages that they go into."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path


def table(rows: list[list[str]], words: Set[int]) -> str:
    """Return a Markdown table, the first row its head.

    Args:
        rows: the cells.
        words: the columns that are words; the others are numbers, and stand right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(row: list[str]) -> str:
        cells = [
            cell.ljust(width) if place in words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(cells)} |".rstrip()

    rule = ["-" * width if place in words else "-" * (width - 1) + ":"
            for place, width in enumerate(widths)]  # fmt: skip
    return "\n".join([line(rows[0]), line(rule), *map(line, rows[1:])])


def replace_between_markers(page: Path, name: str, text: str) -> None:
    """Put a text between two comments of a page, in place of what is there.

    Raises:
        ValueError: the page has no such comments.
    """
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    before, found, rest = page.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found and found_end):
        raise ValueError(f"{page} has no lines {begin.strip()} and {end.strip()}")
    page.write_text(f"{before}{begin}{text}\n{end}{after}")
