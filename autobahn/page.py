"""The page for docs/ with the results of Autobahn|Testsuite, in both roles."""

from __future__ import annotations

import textwrap

from report import GOOD, VERDICTS, Case, Report, ReportError

TESTED = {
    "server": "a message listener on gevent's stock pywsgi, [`autobahn/server.py`]"
    "(../autobahn/server.py)",
    "client": "[`examples/autobahn_client.py`](../examples/autobahn_client.py)",
}

INTRODUCTION = """\
# Autobahn|Testsuite

The results of faye_ws with the conformance suite for WebSocket: all {cases} cases, sections 1 to
7, 9, 10, 12 and 13, in both roles. Written by `autobahn/run.py`; change that, not this page.
"""

INFORMATIONAL = {
    "7.1.6": """\
    A text of 256 KiB, another of 12 bytes, a close frame with 1000 and a ping arrive back to
    back. RFC 6455 does not say whether an endpoint that has read them all may act on the close
    before it has answered the texts, so the suite only takes note. faye_ws answers what came
    before a close first: both texts come back, then the close with 1000, and the ping behind the
    close is ignored (1.4: "a peer discards any further data received"). The suite's own page says
    of this "Actual events differ from any expected", because its list of what to expect has only
    the shorter text.""",
    "7.13.1": """\
    A close frame with the status code 5000. Section 7.4.2 assigns the codes up to 4999, and
    does not say what to make of others. faye_ws fails the connection with 1002, as it does for the
    codes that no one may send, which the cases `7.9.*` are about.""",
    "7.13.2": "The same with 65535, the largest code that fits.",
}

RUNNING = """\
## How to run it

    .ci/autobahn          # sections 1 to 7, 9 and 10: half a minute each
    .ci/autobahn --all    # the whole suite: ten to twenty minutes each

This makes the virtual environment of the project, installs the suite and runs it. It ends with a
line of sums for each role, and with status 1 unless every case is OK or informational; a case
that never ran counts as failed.

The suite is Python 2 software: it needs a Python 2.7 with pip, one of pyenv's
(`pyenv install 2.7.18`) or the one that `PYTHON27` names, and a C compiler. Without them the
status is 2. Its packages go to `$AUTOBAHN_HOME`, by default `~/.cache/faye_ws/autobahn`, in the
versions that [`suite-requirements.txt`](../autobahn/suite-requirements.txt) pins.

Single cases, and everything else there is to choose:

    python autobahn/run.py server --cases '6.4.*,9.3.1'
    python autobahn/run.py --help

The suite's own pages, with what went over the wire in each case, are then in
`autobahn/reports/server/index.html` and `autobahn/reports/client/index.html`.

CI runs `.ci/autobahn` for every change, and the whole suite before each release, which
`.ci/autobahn --all --write-page` ends with this page.
"""


def page(reports: list[Report]) -> str:
    """Return the page, in Markdown.

    Raises:
        ReportError: a report is not of all cases.
    """
    for report in reports:
        if not report.facts["whole"] or report.facts["seconds"] is None:
            raise ReportError(f"no page: the {report.role} was not tested with all cases")
    parts = [INTRODUCTION.format(cases=len(reports[0].cases)), overview(reports)]
    parts += [role_section(report) for report in reports]
    return "\n".join([*parts, informational_section(reports), RUNNING])


def overview(reports: list[Report]) -> str:
    """Return who was tested, in which versions, and the sums."""
    lines = []
    for report in reports:
        facts = report.facts
        versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
        words = f"**{report.role}: {report.summary()}**\n{TESTED[report.role]}, with permessage-"
        words += f"deflate ({versions}), on {facts['date']}, in {facts['seconds']:.0f} seconds"
        lines.append(words)
    suite = ", ".join(f"{name} {version}" for name, version in reports[0].facts["suite"].items())
    return "\n".join([*map(bullet, lines), f"\nThe suite: {suite}.\n"])


def bullet(text: str) -> str:
    """Return an item of a list, wrapped."""
    first, *rest = text.splitlines()
    body = [line for part in rest for line in wrap(part, indent="  ")]
    return "\n".join([f"- {first}  ", *body])


def wrap(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        " ".join(text.split()),
        width=100,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def role_section(report: Report) -> str:
    """Return the table of one role, by section of the suite, and what is wrong if anything is."""
    names: dict[str, str] = report.facts["sections"]
    head = ["section", "about", "cases", *("OK" if v == "ok" else v for v in VERDICTS), "seconds"]
    rows = [head]
    for number in dict.fromkeys(case.section for case in report.cases):
        cases = [case for case in report.cases if case.section == number]
        rows.append([number, names[number], *sums(cases)])
    rows.append(["all", "", *sums(report.cases)])
    lines = [f"## {report.role.capitalize()}", "", table(rows), ""]
    if faults := report.faults():
        lines += [*(f"- {fault}" for fault in faults), ""]
    return "\n".join(lines)


def sums(cases: list[Case]) -> list[str]:
    """Return the cells with the numbers of some cases."""
    verdicts = [case.verdict for case in cases]
    counts = [len(cases), *(verdicts.count(verdict) for verdict in VERDICTS)]
    return [*map(str, counts), f"{sum(case.seconds for case in cases):.1f}"]


def table(rows: list[list[str]], words: int = 2) -> str:
    """Return a Markdown table, the first row its head: columns of words, then of numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(row: list[str]) -> str:
        cells = [
            cell.ljust(width) if i < words else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(cells)} |"

    rule = ["-" * w if i < words else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    return "\n".join([line(rows[0]), line(rule), *map(line, rows[1:])])


def informational_section(reports: list[Report]) -> str:
    """Return what the cases are that the suite does not judge, and what faye_ws did in them."""
    lines = ["## The informational cases", ""]
    lines += wrap("In these the suite judges neither the answer nor the close: none can be OK.")
    for id, words in INFORMATIONAL.items():
        lines += ["", *wrap(f"**{id}** {words}")]
    rows = [["case", *(report.role for report in reports)]]
    for id in INFORMATIONAL:
        answers = [answer(case) for report in reports for case in report.cases if case.id == id]
        rows.append([id, *answers])
    return "\n".join([*lines, "", table(rows, words=len(rows[0])), ""])


def answer(case: Case) -> str:
    """Return what the suite was sent in a case."""
    if case.verdict not in GOOD:
        return case.verdict
    messages = f"{case.messages} messages, " if case.messages else ""
    return f"{messages}close with {case.close_code}"
