"""The commands `.ci/coverage` and `.ci/mutation`, on a project of a few lines."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import programs

pytestmark = pytest.mark.timeout(180)

SETUP = """
[tool:pytest]
addopts = --import-mode=importlib

[coverage:run]
source = faye_ws
branch = True
"""
SOURCE = '''"""What is bounded."""


def bound(number: int) -> int:
    if number > 9:
        number = 9
    return number
'''
TEST = """
from faye_ws.driver.bounds import bound


def test_it():
    assert bound({number}) == 9
"""


class Project:
    """A project with a source, its tests, and our campaigns."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(programs.ROOT / "campaigns", folder / "campaigns")
        self.write("setup.cfg", SETUP)
        self.write("faye_ws/__init__.py", "")
        self.write("faye_ws/driver/__init__.py", "")
        self.write("faye_ws/driver/bounds.py", SOURCE)
        self.write("docs/mutation.md", "# Mutants\n")

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)

    def run(self, campaign: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a campaign to its end."""
        return subprocess.run(
            [sys.executable, "-m", f"campaigns.{campaign}", *arguments],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=150,
        )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_source_that_its_own_tests_cover_is_covered(project: Project) -> None:
    project.write("tests/driver/test_bounds.py", TEST.format(number=9))
    project.write("tests/driver/test_bounds_above.py", TEST.format(number=10))
    done = project.run("coverage")
    assert done.returncode == 0, done.stdout
    assert "ok      faye_ws/driver/bounds.py" in done.stdout


def test_what_others_test_is_not_covered(project: Project) -> None:
    project.write("tests/driver/test_bounds.py", TEST.format(number=9))
    project.write("tests/driver/test_others.py", TEST.format(number=10))
    done = project.run("coverage")
    assert done.returncode == 1
    assert "not executed: 6\n" in done.stdout
    project.write("tests/driver/test_bounds.py", TEST.format(number=10))
    done = project.run("coverage", "faye_ws/driver/bounds.py")
    assert done.returncode == 1
    assert "line 5 never leads to line 7\n" in done.stdout


def test_a_source_without_tests_is_covered_if_importing_it_is_enough(project: Project) -> None:
    project.write("faye_ws/driver/bounds.py", "LIMIT = 9\n")
    assert project.run("coverage").returncode == 0
    project.write("faye_ws/driver/bounds.py", SOURCE)
    assert "not executed: 5-7\n" in project.run("coverage").stdout


def test_tests_that_fail_cover_nothing(project: Project) -> None:
    project.write("tests/driver/test_bounds.py", TEST.format(number=8))
    done = project.run("coverage")
    assert done.returncode == 1
    assert "its tests fail:" in done.stdout


def test_a_line_is_excused_only_with_a_reason(project: Project) -> None:
    project.write("tests/driver/test_bounds.py", TEST.format(number=9))
    excused = SOURCE.replace("> 9:", "> 9:  # pragma: no cover")
    project.write("faye_ws/driver/bounds.py", excused)
    done = project.run("coverage")
    assert done.returncode == 1
    assert "line 5 is excused without a reason" in done.stdout
    project.write("faye_ws/driver/bounds.py", excused.replace("cover", "cover - there is no 10"))
    assert project.run("coverage").returncode == 0


def test_a_test_file_belongs_to_the_longest_name_that_fits(project: Project) -> None:
    project.write("faye_ws/driver/bounds_above.py", SOURCE)
    project.write("tests/driver/test_bounds.py", TEST.format(number=9))
    text = TEST.format(number=10).replace("bounds", "bounds_above")
    project.write("tests/driver/test_bounds_above_all.py", text)
    done = project.run("coverage")
    assert "failed  faye_ws/driver/bounds.py" in done.stdout
    assert "line 5 never leads to line 7\n" in done.stdout
    assert "not executed: 6\n" in done.stdout


# Mutants


def test_a_fault_that_no_test_notices_survives_until_it_is_explained(project: Project) -> None:
    both = TEST.format(number=9) + "    assert bound(10) == 9\n    assert bound(-5) == -5\n"
    project.write("tests/driver/test_bounds.py", both)
    done = project.run("mutation", "faye_ws/driver")
    assert done.returncode == 1, done.stdout + done.stderr
    survivors = [
        "-    if number > 9:\n+    if (number >= 9):",
        "-    if number > 9:\n+    if number > (8):",
    ]
    for difference in survivors:
        assert f"faye_ws/driver/bounds.py:5\n{difference}\n" in done.stdout
    assert ", 2 survived" in done.stdout
    # The source is as it was.
    assert (project.folder / "faye_ws/driver/bounds.py").read_text() == SOURCE
    blocks = "".join(f"```diff\n{difference}\n```\n\nThe same.\n\n" for difference in survivors)
    project.write("docs/mutation.md", f"# Mutants\n\n## faye_ws/driver/bounds.py\n\n{blocks}")
    done = project.run("mutation", "faye_ws/driver/bounds.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("2 explained, ")


def test_tests_that_fail_without_a_fault_are_no_judges(project: Project) -> None:
    project.write("tests/driver/test_bounds.py", TEST.format(number=8))
    done = project.run("mutation")
    assert done.returncode == 2
    assert "The tests fail without a fault" in done.stderr


def test_a_sample_is_always_the_same(project: Project) -> None:
    project.write("tests/driver/test_bounds.py", TEST.format(number=9))
    first, second = (project.run("mutation", "--sample", "2") for _ in range(2))
    assert first.stdout.startswith("2 of ")
    assert first.stdout == second.stdout
