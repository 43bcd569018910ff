"""A job as it is seen: a face shows it, a person is asked, Ctrl-C stops it. What happens is in `run.py`.

Who sees it is a `Face`: a terminal, a pipe, a program that reads JSON. What happens is the same for all of them.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from admin_console.run import Question, Run, Unasked
from admin_console.session import Session
from admin_console.tables import MOST_LISTED, listed, some_lines
from admin_console.wish import Report, Wish
from amon.wire import Output

_LONGEST_PLAN = 2_000  # characters
TYPE_THE_NUMBER = 5  # sites; for more than these a `y` comes too easily


class Face(Protocol):
    """Where a broadcast is seen, and who is there to be asked."""

    can_ask: bool

    def watching(self, run: Run) -> contextlib.AbstractContextManager[None]:
        """Shows how the job goes while the block lasts."""
        ...

    def note(self, text: str) -> None:
        """A line that is no result."""
        ...

    async def ask(self, question: str) -> str:
        """What the person types; empty if he will not say."""
        ...

    def output(self, site: str, output: Output) -> None:
        """What a streaming command says, as it says it."""
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
        """The signal itself, for the length of the block. To be terminated ends the block, and what is open with it."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        acts: dict[signal.Signals, Callable[[], object]] = {
            signal.SIGINT: self.hit,
            signal.SIGTERM: task.cancel,
            signal.SIGHUP: task.cancel,
        }
        before = {number: signal.getsignal(number) for number in acts}
        if before[signal.SIGHUP] is signal.SIG_IGN:  # nohup(1): it is to outlive its terminal
            del acts[signal.SIGHUP]
        for number, act in acts.items():
            loop.add_signal_handler(number, act)
        try:
            yield
        finally:
            for number in acts:
                loop.remove_signal_handler(number)
                signal.signal(number, before[number])


async def broadcast(session: Session, face: Face, wish: Wish, interrupts: Interrupts) -> Report:
    """Ask, wait until the book is closed, and show it."""
    return await watched(Run(session, wish), face, interrupts)


async def watched(run: Run, face: Face, interrupts: Interrupts) -> Report:
    """The job from its beginning to its report, before a person or a program."""

    def stop() -> None:
        if not run.stopped:
            face.note("telling the sites to stop; Ctrl-C again to stop waiting for them")
        else:
            face.note(f"not waiting any more; where it was begun the job goes on; next: amon job {run.id[-6:]}")
        run.cancel()

    with shown(run, face, interrupts, stop, _heard(run, face)):
        report = await run.finish()
    face.report(report)
    return report


@contextlib.contextmanager
def shown(
    run: Run, face: Face, interrupts: Interrupts, hit: Callable[[], None], heard: Callable[[str, Output], None]
) -> Iterator[None]:
    """While the block lasts the face shows the job and asks its questions, and Ctrl-C is `hit`."""
    picture = contextlib.ExitStack()  # drawn while sites work, gone while a person is asked

    def draw() -> None:
        picture.enter_context(face.watching(run))
        picture.enter_context(interrupts.mean(hit))

    async def ask(question: Question) -> bool:
        picture.close()
        try:
            return await ask_of(question, face, run.wish, interrupts)
        finally:
            draw()

    run.on_begin, run.ask, run.note, run.on_output = draw, ask, face.note, heard
    with picture:
        yield


def _heard(run: Run, face: Face) -> Callable[[str, Output], None]:
    """What sessions say. Where nobody sits who sees that a job goes on beyond its deadline, the log says why, once."""
    is_known = face.can_ask or run.wish.lasts is not None

    def heard(site: str, output: Output) -> None:
        nonlocal is_known
        if not is_known:
            is_known = True
            face.note(f"{site} streams; Ctrl-C or --for ends it")
        face.output(site, output)

    return heard


async def ask_of(question: Question, face: Face, wish: Wish, interrupts: Interrupts) -> bool:
    """The plans, then the question. `Unasked` where nobody sits."""
    names, asking = question.names, sorted(question.plans)
    for name in asking[:MOST_LISTED]:
        plan = some_lines(question.plans[name][:_LONGEST_PLAN]).replace("\n", "\n    ")
        face.note(f"{name}: {plan}")  # its lines stand in: none can look like a question of ours
    if len(asking) > MOST_LISTED:
        face.note(f"and {len(asking) - MOST_LISTED} more")
    if question.later:
        face.note(f"the same is for {_sites(question.later)} whose turn comes later")
    if wish.yes:
        return True
    if not face.can_ask:
        step = "--yes --sign" if question.signature else "--yes"
        face.note(f"this changes {_sites(names)}, and nobody is here to say yes: nothing was done; next: {step}")
        raise Unasked
    return await _says_yes(names, face, wish, interrupts)


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
