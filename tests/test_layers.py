"""The layers of the library: a module imports only from layers below its own.

Modules of one layer may import each other, as long as they don't do so in a circle. Of the tests'
own modules only those of `support` are imported.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "faye_ws"

# The layer of each module, or of the package that it is in; the longest name counts.
LAYERS = {
    "faye_ws.constants": 0,
    "faye_ws.errors": 0,
    "faye_ws.driver.masking": 0,
    "faye_ws.driver.frames": 1,
    "faye_ws.driver.closing": 1,
    "faye_ws.driver.incoming": 1,
    "faye_ws.driver.http": 1,
    "faye_ws.driver.response": 1,
    "faye_ws.driver.uri": 1,
    "faye_ws.driver.handshake": 1,
    "faye_ws.driver.hixie_handshake": 1,
    "faye_ws.connecting.http_tunnel": 1,
    "faye_ws.connecting.socks": 1,
    "faye_ws.extensions": 2,
    "faye_ws.driver": 3,
    "faye_ws.events": 4,
    "faye_ws.event_stream": 4,
    "faye_ws.runtime": 5,
    "faye_ws.wsgi": 6,
    "faye_ws.connecting": 6,
    "faye_ws.eventsource": 6,
    "faye_ws.websocket": 6,
    "faye_ws.broadcast": 6,
    "faye_ws.cli": 7,
    "faye_ws.__main__": 7,
}
# What users import: it stands before all others, and no module inside imports it.
FACE = "faye_ws"

# What layers 0 to 4 do without: I/O, the time, and whatever else could wait.
OUTSIDE = frozenset(
    (
        "gevent",
        "greenlet",
        "socket",
        "_socket",
        "ssl",
        "time",
        "threading",
        "_thread",
        "select",
        "selectors",
        "asyncio",
        "signal",
        "subprocess",
    )
)
FIRST_LAYER_WITH_IO = 5


def name_of(path: Path) -> str:
    """Return the name of the module in a file."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
INSIDE = [name for name in MODULES if name != FACE]


def layer_of(name: str) -> int:
    """Return the layer of a module, of which LAYERS has to tell."""
    known = name
    while known not in LAYERS:
        known = known.rpartition(".")[0]
        assert known not in ("", FACE), f"{name} has no layer: give it one in {__file__}"
    return LAYERS[known]


@cache
def tree_of(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def imports_of(name: str) -> Iterator[tuple[str, int]]:
    """Return the full name of each module that a module imports from, and the line."""
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            source = absolute(name, node)
            for alias in node.names:
                # `from . import frames` imports a module, too.
                module = f"{source}.{alias.name}"
                yield (module if module in MODULES else source), node.lineno


def absolute(name: str, node: ast.ImportFrom) -> str:
    """Return the full name of what a `from` statement in a module names."""
    if node.level == 0:
        return node.module or ""
    is_package = MODULES[name].name == "__init__.py"
    parts = name.split(".")
    above = parts[: len(parts) - node.level + is_package]
    return ".".join([*above, node.module] if node.module else above)


def ours(name: str) -> list[tuple[str, int]]:
    """Return the imports of a module that are of our own."""
    return [found for found in imports_of(name) if found[0].split(".")[0] == FACE]


@pytest.mark.parametrize("name", INSIDE)
def test_a_module_imports_only_from_its_layer_and_those_below(name: str) -> None:
    wrong = [
        f"{name}:{line} imports {module}"
        for module, line in ours(name)
        if module == FACE or layer_of(module) > layer_of(name)
    ]
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: {module for module, _ in ours(name)} for name in INSIDE}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("name", [name for name in INSIDE if layer_of(name) < FIRST_LAYER_WITH_IO])
def test_the_layers_without_io_import_nothing_that_could_wait(name: str) -> None:
    wrong = [
        f"{name}:{line} imports {module}"
        for module, line in imports_of(name)
        if module.split(".")[0] in OUTSIDE
    ]
    assert wrong == []


@pytest.mark.parametrize("name", MODULES)
def test_imports_stand_at_the_top_and_name_what_they_import(name: str) -> None:
    wrong = [
        f"{name}:{node.lineno} imports inside a function"
        for function in ast.walk(tree_of(name))
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for node in ast.walk(function)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    wrong += [
        f"{name}:{node.lineno} imports *"
        for node in ast.walk(tree_of(name))
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
    ]
    wrong += [
        f"{name}:{line} imports {module}"
        for module, line in imports_of(name)
        if module.split(".")[0] == "importlib"
    ]
    wrong += [
        f"{name}:{node.lineno} is a lazy trick"
        for node in ast.walk(tree_of(name))
        if (node in tree_of(name).body and getattr(node, "name", "") == "__getattr__")
        or (isinstance(node, ast.Name) and node.id == "__import__")
    ]
    assert wrong == []


def test_every_layer_in_the_table_is_there() -> None:
    assert [name for name in LAYERS if name not in MODULES] == []


def test_importing_patches_nothing_and_makes_no_hub() -> None:
    program = """
import sys
import gevent.monkey
from gevent._hub_local import get_hub_if_exists

for name in sys.argv[1:]:
    __import__(name)
assert gevent.monkey.saved == {}, gevent.monkey.saved
for name in ("socket", "ssl", "threading", "time", "select", "os"):
    assert not gevent.monkey.is_module_patched(name), name
assert get_hub_if_exists() is None
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *(name for name in MODULES if "__main__" not in name)],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def names_of(path: Path) -> set[str]:
    """Return the names by which a file among the tests could be imported."""
    parts = path.relative_to(TESTS).with_suffix("").parts
    return {".".join(parts), ".".join(("tests", *parts)), parts[-1]}


def test_of_the_tests_files_only_support_is_imported() -> None:
    files = [path for path in TESTS.rglob("*.py") if "node_modules" not in path.parts]
    private = set().union(*(names_of(path) for path in files if path.parent.name != "support"))
    wrong = []
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                source = node.module or ""
                modules = [source, *(f"{source}.{alias.name}" for alias in node.names)]
            else:
                continue
            name = path.relative_to(TESTS)
            wrong += [f"{name}:{node.lineno} imports {one}" for one in modules if one in private]
    assert wrong == []


# Private names that are not ours, or that their owner documents.
THEIRS = frozenset(("_replace", "_exit", "_sock", "_dns_host", "_register_atexit", "_asdict"))


def private_names_of(tree: ast.Module) -> set[str]:
    """Return the private names that a module defines: methods, attributes, slots."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


@pytest.mark.parametrize("name", MODULES)
def test_no_private_name_of_another_module_is_used(name: str) -> None:
    # A driver, and a transport, has subclasses that share its insides.
    shares_insides = name.startswith(("faye_ws.driver", "faye_ws.extensions")) or name in (
        "faye_ws.runtime.tls_transport",
    )
    ours = private_names_of(tree_of(name)) | THEIRS
    wrong = [
        f"{name}:{node.lineno} uses {ast.unparse(node)}"
        for node in ast.walk(tree_of(name))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and node.attr not in ours
        and not (shares_insides and ast.unparse(node.value) == "self")
    ]
    assert wrong == []
