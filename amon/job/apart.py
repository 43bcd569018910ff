"""Answers that fit no row of a book: listed once each, however often they are delivered, and bounded."""

from dataclasses import replace

from amon.job.rows import Unexpected
from amon.words import Outcome

MOST_UNEXPECTED = 100
"""Unexpected answers that are kept; more are only counted."""
LONGEST_UNEXPECTED = 200
"""Characters that are kept of each."""


class Apart:
    """count: of all of them, those that are not kept among them."""

    def __init__(self) -> None:
        self.kept: list[Unexpected] = []
        self.count = 0

    def add(self, outcome: Outcome, why: str, now: float) -> None:
        entry = Unexpected(outcome.site, outcome.state, why, outcome.text[:LONGEST_UNEXPECTED], now)
        if any(replace(known, at=now) == entry for known in self.kept):
            return
        self.count += 1
        if len(self.kept) < MOST_UNEXPECTED:
            self.kept.append(entry)
