"""The picture of a benchmark: a panel of horizontal bars per scenario, for light and dark pages."""

from html import escape

from peers import OURS, YARDSTICK, Peer
from results import Results, Summary
from scenarios import Scenario

COLUMNS = 2
PANEL_WIDTH = 470
LABEL_WIDTH = 150
BAR_WIDTH = 215
ROW = 20
BAR = 12
HEADING = 46
MARGIN = 24

STYLE = """\
svg { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; }
.title { font-size: 14px; font-weight: 600; }
.strong { font-weight: 600; } .end { text-anchor: end; }
.page { fill: #ffffff; } text { fill: #1f2937; } .faint { fill: #6b7280; }
.ours { fill: #0f9d8a; } .python { fill: #7c93b2; }
.node { fill: #c8a35c; } .yardstick { fill: #c5cad3; }
.range { stroke: #1f2937; stroke-opacity: .55; }
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117; } text { fill: #e6edf3; } .faint { fill: #8b949e; }
.ours { fill: #2dc4ad; } .python { fill: #6f8bb0; }
.node { fill: #b8924a; } .yardstick { fill: #4a515c; }
.range { stroke: #e6edf3; }
}"""

LEGEND = (
    ("ours", "faye_ws"),
    ("python", "other Python"),
    ("node", "Node"),
    ("yardstick", "plain TCP echo, gevent"),
)


def text(x: float, y: float, content: str, classes: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{classes}">{escape(content)}</text>'


def rectangle(x: float, y: float, width: float, height: float, classes: str) -> str:
    size = f'width="{width:.1f}" height="{height:g}"'
    return f'<rect x="{x:g}" y="{y:g}" {size} rx="2" class="{classes}"/>'


def kind(peer: Peer) -> str:
    if peer.name == YARDSTICK:
        return "yardstick"
    if peer.is_ours:
        return "ours"
    return "node" if peer.on_node else "python"


def short(value: float) -> str:
    """Return a number with the three digits that are worth reading."""
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            scaled = value / limit
            return f"{scaled:.{3 - len(str(int(scaled)))}f}{unit}"
    return f"{value:.0f}"


def bar(peer: Peer, summary: Summary, x: float, y: float, scale: float) -> list[str]:
    """Return one row: the name, a bar to the median, a line from lowest to highest, the number."""
    strong = "strong " if peer.name == OURS else ""
    left, middle = x + LABEL_WIDTH, y + ROW / 2
    values = (summary.low, summary.median, summary.high)
    low, median, high = (min(max(1, value * scale), BAR_WIDTH) for value in values)
    number = short(summary.median) + "*" * summary.is_doubtful
    if summary.low * scale > BAR_WIDTH + 1:  # not by a rounding error
        number += ", cut off"
    return [
        text(left - 8, middle + 4, peer.label, strong + "end"),
        rectangle(left, middle - BAR / 2, median, BAR, kind(peer)),
        f'<path d="M{left + low:.1f} {middle:g}H{left + high:.1f}" class="range"/>',
        text(left + high + 6, middle + 4, number, strong),
    ]


def found(results: Results, scenario: Scenario) -> list[tuple[Peer, Summary]]:
    summaries = [(peer, results.summary(scenario, peer.name)) for peer in results.measured_peers()]
    return [(peer, summary) for peer, summary in summaries if summary]


def panel(results: Results, scenario: Scenario, x: float, y: float) -> list[str]:
    """Return the panel of one scenario, the best on top."""
    rows = found(results, scenario)
    rows.sort(key=lambda row: row[1].median, reverse=not scenario.less_is_better)
    better = "less is better" if scenario.less_is_better else "more is better"
    parts = [
        text(x, y + 14, scenario.title, "title"),
        text(x, y + 31, f"{scenario.unit}, {better}", "faint"),
    ]
    # With several messages in flight the yardstick is out of reach: it would leave others no room.
    in_reach = [s.high for peer, s in rows if peer.name != YARDSTICK or scenario.in_flight == 1]
    longest = max(in_reach, default=1)
    for i, (peer, summary) in enumerate(rows):
        parts += bar(peer, summary, x, y + HEADING + i * ROW, BAR_WIDTH / longest)
    return parts


def draw(results: Results) -> str:
    """Return the whole picture."""
    scenarios = results.measured_scenarios()
    panels = []
    y = 2 * MARGIN
    for i in range(0, len(scenarios), COLUMNS):
        line = scenarios[i : i + COLUMNS]
        for column, scenario in enumerate(line):
            panels += panel(results, scenario, MARGIN + column * PANEL_WIDTH, y)
        y += HEADING + max(len(found(results, scenario)) for scenario in line) * ROW + MARGIN
    total_width, total_height = COLUMNS * PANEL_WIDTH + MARGIN, y
    box = f"0 0 {total_width} {total_height}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="{box}">',
        "<title>Benchmarks of WebSocket servers</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{total_width}" height="{total_height}" class="page"/>',
    ]
    for i, (classes, label) in enumerate(LEGEND):
        parts += [
            rectangle(MARGIN + i * 130, 17, BAR, BAR, classes),
            text(MARGIN + i * 130 + 18, 27, label),
        ]
    note = "line: lowest to highest; *: not the server's limit"
    parts.append(text(total_width - MARGIN, 27, note, "faint end"))
    return "\n".join([*parts, *panels, "</svg>"]) + "\n"
