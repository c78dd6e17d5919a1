"""What Autobahn|Testsuite reported: how each case went, and the sums."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AGENT = "faye_ws"
ROLES = ("server", "client")
VERDICTS = ("ok", "non-strict", "informational", "failed", "unimplemented")
GOOD = ("ok", "informational")


class ReportError(Exception):
    """A report is missing, or not what is needed."""


@dataclass(frozen=True)
class Case:
    """How one case went.

    `words` is what the suite says about it, `messages` how many came back to it, and
    `close_code` the one that it was sent, if any. `seconds` is how long it took.
    """

    id: str
    verdict: str
    words: str
    messages: int = 0
    close_code: int | None = None
    seconds: float = 0.0

    @property
    def section(self) -> str:
        return self.id.partition(".")[0]


class Report:
    """The report of the cases that were played in one role.

    Args:
        facts: what was run, as noted by `note`.
        cases: how each case went.
    """

    FILE = "campaign.json"

    def __init__(self, facts: dict[str, Any], cases: list[Case]) -> None:
        self.role: str = facts["role"]
        self.facts = facts
        self.cases = cases

    @classmethod
    def note(cls, folder: Path, facts: dict[str, Any]) -> None:
        """Put into the folder of a report what the suite itself does not say."""
        (folder / cls.FILE).write_text(json.dumps(facts, indent=1))

    @classmethod
    def load(cls, folder: Path) -> Report:
        """Read the report in a folder.

        Raises:
            ReportError: there is none.
        """
        try:
            facts = json.loads((folder / cls.FILE).read_text())
        except OSError as error:
            raise ReportError(f"no report: {error}") from None
        try:
            index = json.loads((folder / "index.json").read_text()).get(AGENT, {})
        except OSError:
            index = {}  # the suite never began, or was killed
        return cls(facts, [read_case(folder, id, index.get(id)) for id in facts["cases"]])

    @property
    def is_good(self) -> bool:
        return all(case.verdict in GOOD for case in self.cases)

    def summary(self) -> str:
        """Return the number of cases of each verdict."""
        counts = Counter(case.verdict for case in self.cases)
        return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)

    def faults(self) -> list[str]:
        """Return a line for each case that is not as it should be."""
        bad = (case for case in self.cases if case.verdict not in GOOD)
        return [f"{case.id} {case.verdict}: {case.words}" for case in bad]


def read_case(folder: Path, id: str, entry: dict[str, Any] | None) -> Case:
    """Judge a case by its entry in the suite's index: None if it never came to its end."""
    if entry is None:
        return Case(id, "failed", "never ran")
    result = json.loads((folder / entry["reportfile"]).read_text())
    behavior, close = result["behavior"], result["behaviorClose"]
    code = result["remoteCloseCode"]
    words = f"{result['result']} {result['resultClose']} (close code {code})"
    verdict = behavior.lower()
    # A good answer with a bad end is no success.
    bad_end = close not in ("OK", "INFORMATIONAL") and verdict != "unimplemented"
    if verdict not in VERDICTS or bad_end:
        verdict = "failed"
        words = f"behavior {behavior}, close {close}. {words}"
    return Case(
        id,
        verdict,
        words,
        messages=sum(event[0] == "message" for event in result["received"]),
        close_code=code,
        # One that never opened was not begun either: its time counts from 1970.
        seconds=0.0 if result["duration"] > 1e9 else result["duration"] / 1000,
    )
