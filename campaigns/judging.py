"""Whether something grows: counts of a process's objects, taken while it is idle.

Invariants:
- The median of a minute's samples is compared with that of another minute, so that a single
  late close does not count.
- The growth allowed is far less than a leak in one of fifty connections would cause.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from .stock import MEASURES, Stock

# What may come on top: so many, and such a share.
ALLOWED = {
    "objects": (40, 0.0),
    "greenlets": (20, 0.0),
    "threads": (8, 0.0),
    "descriptors": (8, 0.0),
    "memory": (6, 0.1),
}
MINUTE = 60.0


@dataclass
class Series:
    """The samples of one process in one soak.

    Attributes:
        seconds: how long the soak lasts.
        before: the sample after the warm-up.
        samples: seconds since the start, and what there was.
        after: the sample when all peers have left for good.
    """

    seconds: float
    before: Stock
    samples: list[tuple[float, Stock]] = field(default_factory=list)
    after: Stock | None = None

    def medians(self, measure: str) -> tuple[float, float]:
        """Return the medians of the second minute and of the last; of quarters in short soaks."""
        span = min(MINUTE, self.seconds / 4)
        last = max((at for at, _ in self.samples), default=0.0)
        early = [stock for at, stock in self.samples if span <= at < 2 * span]
        late = [stock for at, stock in self.samples if at > last - span]
        if not early or not late:
            early = late = [stock for _, stock in self.samples[-1:]] or [self.before]
        return median(s[measure] for s in early), median(s[measure] for s in late)

    def cell(self, measure: str) -> str:
        """Return how a measure went: at first, in the second minute, the last, and in the end."""
        numbers = [self.before[measure], *self.medians(measure)]
        if self.after is not None:
            numbers.append(self.after[measure])
        return " ".join(f"{number:.0f}" for number in numbers)

    def faults(self) -> list[str]:
        """Return what grows, and what is not given back."""
        faults = []
        for measure, (number, share) in ALLOWED.items():
            early, late = self.medians(measure)
            if late > early * (1 + share) + number:
                faults.append(f"{MEASURES[measure]} grow from {early:.0f} to {late:.0f}")
            # Of memory the allocator keeps some.
            before = max(self.before[measure], early if measure == "memory" else 0)
            if self.after is not None and self.after[measure] > before * (1 + share) + number:
                faults.append(
                    f"{self.after[measure]:.0f} {MEASURES[measure]} are left of all,"
                    f" {before:.0f} were there before"
                )
        return faults

    def growth(self) -> str:
        """Return the classes whose number of objects has grown most."""
        last = self.after or (self.samples[-1][1] if self.samples else self.before)
        more = {
            kind: number - self.before["kinds"].get(kind, 0)
            for kind, number in last["kinds"].items()
        }
        ranked = sorted(more.items(), key=lambda pair: -pair[1])[:4]
        return ", ".join(f"{number} {kind}" for kind, number in ranked if number > 5)
