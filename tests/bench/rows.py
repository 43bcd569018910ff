"""One measured figure beside its budget (design, section 9), and the table of them."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Row:
    """better: whether less or more is better. budget None: shown for comparison, holds to nothing."""

    what: str
    value: float
    unit: str
    budget: float | None
    better: Literal["less", "more"]
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How much of the budget is used: above 1 it is missed, whichever way the figure counts."""
        if self.budget is None:
            return None
        return self.value / self.budget if self.better == "less" else self.budget / max(self.value, 1e-12)

    @property
    def missed(self) -> bool:
        return self.ratio is not None and self.ratio > 1


def middle(values: Iterable[float]) -> float:
    """The median: other work on the machine makes some runs slow, none fast."""
    return statistics.median(values)


def spread(values: Sequence[float], form: str = "{:.3g}") -> str:
    """How far the repeats lay apart, for the note."""
    return f"{len(values)} x, {form.format(min(values))} to {form.format(max(values))}"


def table(rows: Iterable[Row]) -> str:
    """Plain lines, so that they can be pasted into a commit."""
    cells = [("figure", "value", "budget", "used", "", "note"), *map(_cells, rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    lines = []
    for what, value, budget, used, mark, note in cells:
        left = f"{what:<{widths[0]}}  {value:>{widths[1]}}  {budget:>{widths[2]}}"
        lines.append(f"{left}  {used:>{widths[3]}}  {mark:<{widths[4]}}  {note}".rstrip())
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, str, str, str, str, str]:
    value = f"{_number(row.value)} {row.unit}".rstrip()
    if row.budget is None or row.ratio is None:
        return row.what, value, "", "", "", row.note
    sign = "≤" if row.better == "less" else "≥"
    budget = f"{sign} {_number(row.budget)} {row.unit}".rstrip()
    return row.what, value, budget, f"{row.ratio:.2f}", "MISSED" if row.missed else "ok", row.note


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
