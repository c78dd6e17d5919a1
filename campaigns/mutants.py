"""Small faults put into a source, one at a time: its mutants.

What is changed is found in the syntax tree, but put into the text, so that all else of the source
stays as it is and a mutant can be shown as a difference of a line or two.

Invariants: every mutant compiles; no two mutants of a source are the same. Text for people and
for the type checker is left alone: docstrings, annotations, f-strings and what is raised with.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .own_tests import ROOT

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
# Statements that a mutant does without.
REMOVED = (ast.Assign, ast.AugAssign, ast.Break, ast.Continue, ast.Delete, ast.Expr, ast.Raise)
# What is assigned, or called for what is assigned, for Python and its tools.
BOOKKEEPING = {"__all__", "__slots__", "TypeVar"}
NOTHING = ("", b"")
# Fields of nodes that don't say what the program does.
UNMEANT = {"annotation", "returns", "decorator_list", "bases", "type_params"}


class Mutant(NamedTuple):
    """A source with one fault.

    Attributes:
        path: the source.
        line: the number of the line where the fault begins.
        text: the whole of the source with the fault.
        difference: the lines taken out and put in, each with its sign.
    """

    path: Path
    line: int
    text: str
    difference: str

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()


def mutants_of(path: Path) -> list[Mutant]:
    """Return all mutants of a source."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    seen = {ast.dump(tree)}
    mutants = []
    for parent in executed(tree):
        for node, replacement in faults(parent):
            mutated = put(text, node, replacement)
            try:
                compile(mutated, str(path), "exec")
            except SyntaxError:
                continue
            if (dump := ast.dump(ast.parse(mutated))) not in seen:
                seen.add(dump)
                mutants.append(Mutant(path, node.lineno, mutated, difference(text, mutated)))
    return mutants


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all in it in which faults are looked for."""
    yield node
    if isinstance(node, (ast.JoinedStr, ast.Raise, ast.pattern)):
        return
    for name, value in ast.iter_fields(node):
        if name not in UNMEANT:
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not is_for_readers(node, child):
                    yield from executed(child)


def is_for_readers(parent: ast.AST, node: ast.AST) -> bool:
    """Tell whether a node is a docstring, or names something for Python and its tools only, or
    is the nothing of `or ""`, which makes a string of None."""
    if isinstance(parent, ast.BoolOp):
        return isinstance(node, ast.Constant) and node.value in NOTHING
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if not isinstance(node, ast.Assign):
        return False
    names = [*node.targets, getattr(node.value, "func", None)]
    return any(isinstance(name, ast.Name) and name.id in BOOKKEEPING for name in names)


def faults(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Yield parts of a node, or itself, each with a text that is a fault in its place."""
    if isinstance(node, REMOVED):
        yield node, "pass"
    # In the place of False, None is no fault; True is, and is tried as another constant.
    if isinstance(node, ast.Return) and node.value and getattr(node.value, "value", True):
        yield node, "return None"
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        yield node.test, f"(not ({ast.unparse(node.test)}))"
    if isinstance(node, ast.expr):
        for fault in faults_of_expression(node):
            yield node, f"({ast.unparse(fault)})"
    if isinstance(node, ast.AugAssign) and type(node.op) in COMPUTED:
        yield node, ast.unparse(ast.AugAssign(node.target, COMPUTED[type(node.op)](), node.value))


def faults_of_expression(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the faults that can be in the place of an expression."""
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            swapped = [*node.ops[:place], COMPARED[type(operator)](), *node.ops[place + 1 :]]
            yield ast.Compare(node.left, swapped, node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.BinOp) and type(node.op) in COMPUTED:
        yield ast.BinOp(node.left, COMPUTED[type(node.op)](), node.right)
    elif isinstance(node, ast.Constant):
        yield from (ast.Constant(value) for value in other_constants(node.value))


def other_constants(value: object) -> list[int | bytes | str]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, bytes):
        return [b"" if value else b"x"]
    # A string with spaces is for people.
    if isinstance(value, str) and " " not in value:
        return ["" if value else "x"]
    return []


def put(text: str, node: ast.expr | ast.stmt, replacement: str) -> str:
    """Return a text with another text in the place of a node."""
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    # Columns are counted in bytes.
    lines = text.encode().splitlines(keepends=True)
    before = [*lines[: node.lineno - 1], lines[node.lineno - 1][: node.col_offset]]
    after = [lines[node.end_lineno - 1][node.end_col_offset :], *lines[node.end_lineno :]]
    return b"".join([*before, replacement.encode(), *after]).decode()


def difference(before: str, after: str) -> str:
    """Return the lines taken out and put in, each with its sign."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))
