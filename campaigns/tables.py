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

    rule = [
        "-" * width if place in words else "-" * (width - 1) + ":"
        for place, width in enumerate(widths)
    ]
    return "\n".join([line(rows[0]), line(rule), *map(line, rows[1:])])


class Page:
    """A page with a text between two comments, `<!-- NAME: begin -->` and the same with `end`.

    Raises:
        OSError, ValueError: there is no such page, or it has no such comments.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
        before, found, rest = path.read_text().partition(begin)
        _, found_end, after = rest.partition(end)
        if not (found and found_end):
            raise ValueError(f"{path} has no lines {begin.strip()} and {end.strip()}")
        self._before, self._after = before + begin, end + after

    def write(self, text: str) -> None:
        """Put a text between the comments, in place of what is there."""
        self._path.write_text(f"{self._before}{text}\n{self._after}")
