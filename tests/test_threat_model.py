"""The threat model promises nothing that no test shows."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
THREAT_MODEL = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/\S+\.py)::(\w+)`", THREAT_MODEL)


@cache
def names_in(path: str) -> frozenset[str]:
    """Return the names of the tests in a file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_every_test_that_the_threat_model_names_is_there(path: str, name: str) -> None:
    assert name.startswith("test_")
    assert name in names_in(path)


def test_every_threat_names_a_test() -> None:
    threats = re.split("^### ", THREAT_MODEL, flags=re.MULTILINE)[1:]
    assert len(threats) > 20
    assert [text.partition("\n")[0] for text in threats if "::test_" not in text] == []


def test_every_file_of_advisories_is_named_by_the_threat_model() -> None:
    files = {f"tests/advisories/{path.name}" for path in ROOT.glob("tests/advisories/test_*.py")}
    assert sorted(files - {path for path, _ in NAMED}) == []
