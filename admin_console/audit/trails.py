"""One site's audit as it comes in, page by page, verified link by link. Pure.

What is said of a chain: that it is sound from one line to another, or in words what does not fit it. Against whom this
helps, and against whom not, is told in amon/access/audit.py.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from admin_console.audit.page import Page, read_page
from amon.access import AuditRecord, Line, Link, verify_chain

MOST_PAGES = 20_000  # of one site: twice what a million lines take
MOST_KEPT = 10_000  # lines of one site that are shown


@dataclass(frozen=True, slots=True)
class Point:
    """A line of a chain as it was seen on an earlier day. time: epoch seconds."""

    link: Link
    time: float


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered of a site's chain: its name, and some points of it, oldest first."""

    chain: str
    points: tuple[Point, ...]


@dataclass
class Trail:
    """Feed it pages with `take`, as long as `after` says which come next. fault: in words; then nothing more is asked.

    keep: how many of the last lines are kept to be shown, of those `wanted`. shown_from: only lines after this one;
    None: as the first page begins. whole: begin with the oldest line, else with what was asked for or with the last
    line that is remembered, whichever is older. picked: the site leaves lines out; then only the ends are looked at.
    """

    site: str
    keep: int
    known: Known | None = None
    whole: bool = False
    picked: bool = False
    shown_from: int | None = None
    most_pages: int = MOST_PAGES
    wanted: Callable[[AuditRecord], bool] = lambda record: True
    fault: str = ""
    after: int | None = None
    """The line after which the next page has to begin; None: nothing is missing."""
    first: Link | None = None
    """What was verified begins after this line."""
    at: Link | None = None
    """What was verified ends with this line."""
    page: Page | None = None
    """The first page: what the site said its chain was when it was asked."""
    withheld: int = 0
    """Lines of its other accounts that were passed over."""
    lines: deque[Line] = field(default_factory=deque)
    pages: int = 0
    _last: int = 0
    _start_at: int | None = None
    _found: dict[int, str] = field(default_factory=dict)

    def take(self, data: Any) -> None:
        """The data of one answer."""
        page = read_page(data)
        self.after = None
        self.pages += 1
        if page is None:
            self.fault = "its answer is no audit"
        elif self.page is None:
            self._begin(page)
        elif page.chain != self.page.chain:
            self.fault = "its chain became another one while it was read"
        elif self.picked:
            self._pick(page)
        elif self.at is None:  # it was asked for from an earlier line on
            self._start(page)
        else:
            self._go_on(page)

    def _begin(self, page: Page) -> None:
        """The first page says where the chain ends now, which is as far as it is read."""
        self.page = page
        if self.shown_from is None:
            self.shown_from = 0 if self.picked else page.before.seq
        self.fault = self._misfit(page)
        if self.fault:
            return
        if self.picked:
            self._pick(page)
            return
        start = page.before.seq
        if self.whole:
            start = page.anchor.seq
        elif self.known is not None:
            start = max(page.anchor.seq, min(start, self.known.points[-1].link.seq))
        if start == page.before.seq:
            self._start(page)
        else:
            self._start_at = self.after = start

    def _pick(self, page: Page) -> None:
        for line in page.lines:
            if line.seq <= self._last:
                self.fault = f"it gives line {line.seq} after line {self._last}"
                return
            self._last = line.seq
            self._keep(line)
        if page.more and page.lines:
            self._next(self._last)

    def _next(self, after: int) -> None:
        if self.pages >= self.most_pages:
            self.fault = f"it gives too few lines at once; only those up to {after} were read"
        else:
            self.after = after

    def _misfit(self, page: Page) -> str:
        """What the ends of the chain alone give away."""
        if page.anchor.seq == 0 and page.anchor.hash != page.chain:
            return "its chain does not begin with its name"
        if page.anchor.seq > page.head.seq:
            return "its chain ends before it begins"
        if self.known is None:
            return ""
        last = self.known.points[-1]
        seen = f"line {last.link.seq}, seen on {utc(last.time)}"
        if page.chain != self.known.chain:
            return f"another chain than that of {seen}: its journal was deleted, replaced or written anew"
        if page.head.seq < last.link.seq:
            return f"cut off: it ends with line {page.head.seq}, and there was {seen}"
        if page.anchor.seq > last.link.seq:
            return f"its lines up to {page.anchor.seq} were dropped, with {seen}: what lies between cannot be compared"
        return ""

    def _start(self, page: Page) -> None:
        self.first = self.at = page.before
        wanted = self._start_at
        if wanted is not None and page.before.seq > wanted:
            self.fault = f"broken: lines {wanted + 1} to {page.before.seq} are missing"
            return
        if wanted is not None and page.before.seq < wanted:
            self.fault = f"it gives lines after {page.before.seq}, and was asked for those after {wanted}"
            return
        if self.page is not None and page.before.seq == self.page.anchor.seq and page.before != self.page.anchor:
            self.fault = f"line {page.before.seq} is not the one that its chain says was dropped last"
            return
        self._compare(page.before)
        if not self.fault:
            self._go_on(page)

    def _go_on(self, page: Page) -> None:
        """Verify the next lines, up to where the chain ended when it was first asked."""
        assert self.at is not None
        assert self.page is not None
        end = self.page.head
        before = self.at
        for line in page.lines:
            if line.seq > end.seq and self.at.seq >= end.seq:
                break
            verdict = verify_chain((line,), self.at)
            if verdict.fault:
                self.fault = f"broken: {verdict.fault}"
                return
            self.at = verdict.head
            self._keep(line)
            self._compare(self.at)
            if self.fault:
                return
        if self.at.seq < end.seq:
            if self.at == before:
                self.fault = f"it gives no line after {self.at.seq}, though its last is {end.seq}"
            else:
                self._next(self.at.seq)
        elif self.at != end:
            self.fault = f"broken: line {end.seq} is not what it said its last line was"

    def _keep(self, line: Line) -> None:
        if line.seq <= (self.shown_from or 0):
            return
        if line.record is None:
            self.withheld += 1
        elif self.wanted(line.record):
            self.lines.append(line)
            if len(self.lines) > self.keep:
                self.lines.popleft()

    def _compare(self, link: Link) -> None:
        """With what was seen of this line on an earlier day."""
        for point in self.known.points if self.known is not None else ():
            if point.link.seq == link.seq and point.link != link:
                self.fault = self._rewritten(point)
            elif point.link == link:
                self._found[link.seq] = utc(point.time)

    def _rewritten(self, point: Point) -> str:
        what = f"line {point.link.seq} is another than on {utc(point.time)}"
        if not self._found:
            return f"rewritten: {what}"
        last = max(self._found)
        return f"forked after line {last}, which is still as on {self._found[last]}: {what}"

    @property
    def soundness(self) -> str:
        """What is known of the chain, in words."""
        if self.fault:
            return self.fault
        if self.first is None or self.at is None or self.page is None:
            return "not verified"
        since = f", and as it was on {self._found[max(self._found)]}" if self._found else ", seen for the first time"
        start = "the first" if self.first.seq == 0 else f"line {self.first.seq + 1}"
        if self.first.seq == self.at.seq:
            return f"sound: no new lines after {self.at.seq}{since}"
        return f"sound from {start} to line {self.at.seq}{since}"


def utc(seconds: float) -> str:
    """A time, whatever somebody says it is."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f}"
