"""From what an admin wants to a closed book: whom it means, the question before a change, the wait, two ways to stop.

Who sees it is a `Face`: a terminal, a pipe, a program that reads JSON. What happens is the same for all of them.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from admin_console.session import Session
from admin_console.tables import MOST_LISTED, listed, shared_names, some_lines
from amon.clock import Clock
from amon.errors import Failed, Refused
from amon.ids import new_id
from amon.job import PRECEDENCE, Book, ExitCode
from amon.runtime.fleet import Site
from amon.runtime.gather import Gathering, Job, gathering
from amon.runtime.proofs import Word
from amon.target import Expression, select, unknown_names
from amon.target.expression import PartState, Tagged

_LONGEST_PLAN = 2_000  # characters
TYPE_THE_NUMBER = 5  # sites; for more than these a `y` comes too easily


class NobodyMeant(Refused):
    """The target is in order and fits no site; nothing was sent."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of whom. Times in seconds. yes: said already, by --yes. sign: from the first message on."""

    target: Expression
    line: str
    deadline: float = 30.0
    accept_by: float = 5.0
    dry_run: bool = False
    yes: bool = False
    sign: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """How it ended. `exit` is the book's code, unless nobody could be asked for a yes.

    words: how far the answer of each site is to be trusted whose key is known.
    """

    wish: Wish
    job: Job
    book: Book
    exit: ExitCode
    words: Mapping[str, Word] = field(default_factory=dict)


class Face(Protocol):
    """Where a broadcast is seen, and who is there to be asked."""

    can_ask: bool

    def watching(self, job: Gathering) -> contextlib.AbstractContextManager[None]:
        """Shows how the job goes while the block lasts."""
        ...

    def note(self, text: str) -> None:
        """A line that is no result."""
        ...

    async def ask(self, question: str) -> str:
        """What the person types; empty if he will not say."""
        ...

    def report(self, report: Report) -> None:
        """The result."""
        ...


class Interrupts:
    """What Ctrl-C means right now. `hit` is that key."""

    def __init__(self) -> None:
        self._act: Callable[[], None] | None = None

    def hit(self) -> None:
        if self._act is not None:
            self._act()

    @contextlib.contextmanager
    def mean(self, act: Callable[[], None]) -> Iterator[None]:
        """While the block lasts Ctrl-C is `act`, and outside it what it was before."""
        before, self._act = self._act, act
        try:
            yield
        finally:
            self._act = before

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """The signal itself, for the length of the block."""
        loop, handler = asyncio.get_running_loop(), signal.getsignal(signal.SIGINT)
        loop.add_signal_handler(signal.SIGINT, self.hit)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            signal.signal(signal.SIGINT, handler)


async def chosen(session: Session, target: Expression) -> tuple[str, ...]:
    """The sites that are meant, frozen from now on. `NobodyMeant` for a name that is none, or no name at all."""
    fleet = session.fleet
    if any(isinstance(term, Tagged | PartState) for term in target.terms()):
        await fleet.look_up()
    facts = fleet.facts()
    if not facts:
        raise NobodyMeant(f"{session.room} has no sites yet; next: amon enroll SITE")
    unknown = unknown_names(target, facts)
    if unknown:
        raise NobodyMeant(_unknown(unknown, session.sites()))
    names = select(target, facts)
    if not names:
        raise NobodyMeant(f"{target} fits none of {len(facts)} sites; nothing was sent; next: amon sites")
    return names


def _unknown(unknown: Mapping[str, Sequence[str]], sites: Sequence[Site]) -> str:
    """What is said of names that no site has, or that several have."""
    shared = shared_names([site for site in sites if site.name.partition("@")[0] in unknown])
    if shared:
        return f"{shared}; nothing was sent"
    said = [f"{name!r}" + (f" (did you mean {' or '.join(near)}?)" if near else "") for name, near in unknown.items()]
    return f"no site named {', '.join(said[:MOST_LISTED])}; nothing was sent; next: amon sites"


async def broadcast(session: Session, face: Face, wish: Wish, interrupts: Interrupts) -> Report:
    """Ask, wait until the book is closed, and show it."""
    names = await chosen(session, wish.target)
    job = Job(
        new_id(session.clock.time()), wish.line, names, wish.deadline, wish.accept_by, wish.dry_run, confirmed=wish.yes
    )
    if wish.sign:
        job = await session.signed(job)
    with gathering(session.fleet, session.room, job, session.clock) as under_way:
        under_way.send()
        stopped = await _collect(under_way, session.clock, face, interrupts)
        unasked = False
        while under_way.asking:  # for a yes, and then perhaps for a signature
            unasked = not await _settle(session, under_way, face, wish, interrupts, stopped)
            stopped = await _collect(under_way, session.clock, face, interrupts) or stopped
        exit_code = ExitCode.refused if unasked else _judged(under_way)
        report = Report(wish, job, under_way.book, exit_code, under_way.words)
    face.report(report)
    return report


def _judged(job: Gathering) -> ExitCode:
    """The book's code, unless somebody may have made up an answer: then nobody knows how it ended there."""
    code = job.book.exit_code()
    unproven = any(word not in (Word.none, Word.signed) for word in job.words.values())
    return next(one for one in PRECEDENCE if one in ({code, ExitCode.no_answer} if unproven else {code}))


async def _collect(job: Gathering, clock: Clock, face: Face, interrupts: Interrupts) -> bool:
    """Until the book is closed or only questions are open. Whether somebody wanted it to stop."""
    stopped = False

    def stop() -> None:
        nonlocal stopped
        if stopped:  # a second time: the sites' word is not waited for any more
            job.book.cancel(clock.monotonic(), 0)
        else:
            face.note("telling the sites to stop; Ctrl-C again to stop waiting for them")
        stopped = True
        job.cancel()

    with face.watching(job), interrupts.mean(stop):
        await job.collect()
    return stopped


async def _settle(
    session: Session, job: Gathering, face: Face, wish: Wish, interrupts: Interrupts, stopped: bool
) -> bool:
    """Some sites did nothing yet: somebody has to say yes, or to sign. False: nobody could."""
    names = sorted(job.asking)
    if stopped:
        job.decline("you stopped it; nothing was done")
        return True
    unsigned = any(asked.signature for asked in job.asking.values())
    for name in names[:MOST_LISTED]:
        plan = some_lines(job.asking[name].text[:_LONGEST_PLAN]).replace("\n", "\n    ")
        face.note(f"{name}: {plan}")  # its lines stand in: none can look like a question of ours
    if len(names) > MOST_LISTED:
        face.note(f"and {len(names) - MOST_LISTED} more")
    if not wish.yes and not face.can_ask:
        step = "--yes --sign" if unsigned else "--yes"
        face.note(f"this changes {_sites(names)}, and nobody is here to say yes: nothing was done; next: {step}")
        job.decline("nobody was there to say yes; nothing was done")
        return False
    if not wish.yes and not await _says_yes(names, face, wish, interrupts):
        job.decline("you did not say yes; nothing was done")
        return True
    again = job.again()
    try:
        job.confirm(await session.signed(again) if unsigned or wish.sign else again)
    except Failed as fault:
        face.note(f"not signed, so nothing was done: {fault}")
        job.decline("not signed; nothing was done")
        return False
    return True


async def _says_yes(names: Sequence[str], face: Face, wish: Wish, interrupts: Interrupts) -> bool:
    many = len(names) > TYPE_THE_NUMBER
    how = f"type {len(names)} to do it" if many else "y/N"
    question = f"{wish.line} on {_sites(names)}: {listed(names)}? [{how}] "
    asking = asyncio.ensure_future(face.ask(question))
    with interrupts.mean(lambda: void(asking.cancel())):
        await asyncio.wait((asking,))
    answer = "" if asking.cancelled() else asking.result().strip().lower()
    return answer == str(len(names)) if many else answer in ("y", "yes")


def void(_: object) -> None:
    """For callbacks that give back what nobody wants."""


def _sites(names: Sequence[str]) -> str:
    return f"{len(names)} {'site' if len(names) == 1 else 'sites'}"
