"""One call at work: a method of a module runs, and whatever becomes of it is an outcome in words and data.

`Refused` and `Invalid` are shown as they are, `Failed` is a result, all else is a bug: the log has it under a number,
and the asker sees the number. A wish to end the program, or a cancellation that nobody asked for, is a bug like others.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from amon.access import Decision
from amon.clock import Clock
from amon.command import Ask, Call, answer_of
from amon.command.declare import May
from amon.errors import Failed, Invalid, Refused
from amon.module import Module
from amon.runtime import caps
from amon.runtime.incoming import Audience, Incoming
from amon.tasks import is_cancelled
from amon.text import visible
from amon.wire import Ended
from amon.words import Answer, Role, State

if TYPE_CHECKING:
    from amon.runtime.outputs import Outputs
    from amon.runtime.sessions import Session, Sessions

_PROGRESS_EVERY = 0.25  # seconds between two notes of progress
_KEEP_EVERY = 1.0  # seconds between two that the journal keeps

Find = Callable[[str], Module[Any]]  # instance name -> its module; raises Failed while it is not running
Method = Callable[..., Any]  # a coroutine, or the generator of a session
# Where sessions are, and what tells why their asker may not have his any more.
Hold = Callable[[], "tuple[Sessions, Callable[[], str]]"]


class Work:
    """A call from its acceptance to its outcome. `audience` hears of its progress, and of `running` at the deadline.

    keep: gets its last progress now and then, for whoever has to say what is known should the agent die in it.
    decision: what made the asker what he is here. may: what else he may ask for. hold: opens a session for what goes
    on telling.
    """

    def __init__(
        self,
        incoming: Incoming,
        ask: Ask,
        decision: Decision,
        may: May,
        audience: Audience,
        clock: Clock,
        hold: Hold,
        outputs: "Callable[[], Outputs]",
    ) -> None:
        self.audience = audience
        self.incoming = incoming
        self._ask = ask
        self._call = Call(
            incoming.id,
            incoming.asker,
            decision.role or Role.observer,
            decision.rule,
            incoming.deadline,
            self._progress,
            incoming.door.account,
            may,
            incoming.probed,
            incoming.door.jid.partition("@")[0].lower(),
        )
        self._clock = clock
        self.name = ask.name
        self.keep: Callable[[str], None] = lambda text: None
        self._noted = -_PROGRESS_EVERY
        self._kept = -_KEEP_EVERY
        self._hold = hold
        self._session: Session | None = None
        self._outputs = outputs
        self._gave: Any = None
        self._whole: caps.Kept | None = None
        self._task: asyncio.Task[Any] | None = None
        self.stopped = asyncio.Event()
        self._over = False
        self._log = logging.getLogger("amon.work")

    def cancel(self) -> bool:
        """Its asker does not want it any more. False: it is over already."""
        if self._over:
            return False
        if self._session is not None:  # it ends as it should
            self._session.end("stopped by you")
            return True
        if not self.stopped.is_set() and self._task is not None:
            self._task.cancel()
        self.stopped.set()
        return True

    @contextmanager
    def reminding(self) -> Iterator[None]:
        """While the block lasts its asker hears at the deadline that it is not over."""
        reminder = asyncio.create_task(self._say_running(), name=f"deadline of {self.incoming.id}")
        try:
            yield
        finally:
            reminder.cancel()

    async def outcome(self, method: Method, find: Find) -> Ended:
        """Run `method` in the task that calls this. Cancelled from outside it has no outcome: that passes through."""
        began = self._clock.monotonic()
        task = self._task = asyncio.current_task()
        assert task is not None
        if self._unwanted():
            self._over = True
            return Ended(self.incoming.id, State.cancelled, "cancelled before it began; nothing was done")
        try:
            with nullcontext() if self._ask.command.streams else self.reminding():
                state, answer, is_cut = await self._run(method, find)
        except asyncio.CancelledError:
            if not self._unwanted() or task.cancelling() > 1:
                raise
            state, answer, is_cut = State.cancelled, Answer("cancelled while it ran; look what it left"), False
        finally:
            self._over = True
            if self._unwanted():
                task.uncancel()  # it was meant for the method, not for what is still to be done with its outcome
        seconds = self._clock.monotonic() - began
        if self._session is not None and state is not State.done:  # what it had told until then
            course = answer_of(self._session.course())
            told = f"; {course.text}" if self._session.said else ""
            answer = Answer(f"{answer.text}{told}", course.data, course.columns)
        try:
            answer = caps.discreetly(answer, self._ask.hidden)
            return await self._ended(state, answer, seconds, is_cut)
        except Exception:  # what a module gives back need not be what JSON can hold
            return caps.ended(self.incoming.id, State.failed, self._incident(), seconds)

    async def _ended(self, state: State, answer: Answer, seconds: float, is_cut: bool) -> Ended:
        """The outcome, and beside it all of what does not fit into it: the text, or else the data."""
        ident, typed = self.incoming.id, self.incoming.typed
        made = caps.ended(ident, state, answer, seconds, cut_before=is_cut, kept=self._whole, typed=typed)
        text_cut = not made.text.startswith(answer.text)
        is_there = self._whole is not None if text_cut else typed  # who reads it in a chat has no use for data
        if not made.cut or is_there or self._gave is None:
            return made
        await self._keep(self._gave, data=not text_cut)
        return caps.ended(ident, state, answer, seconds, cut_before=is_cut, kept=self._whole, typed=typed)

    async def _keep(self, result: Any, *, data: bool = False) -> tuple[Answer, bool]:
        """What of a long result fits into a message, and whether some data is missing; all is kept (outputs.py)."""
        self._gave, now = result, self._clock.time()
        self._whole = await self._outputs().keep(self.incoming.key, result, self._ask.hidden, now, data=data)
        return self._whole.answer, self._whole.data_cut

    def _unwanted(self) -> bool:
        return self.stopped.is_set()

    async def _run(self, method: Method, find: Find) -> tuple[State, Answer, bool]:
        limit = asyncio.timeout(None if self._ask.command.streams else self._ask.command.timeout)
        try:
            async with limit:
                result = await self._result(method, find)
            if caps.is_long(result):
                return State.done, *await self._keep(result)
            self._gave = result
            return State.done, answer_of(result), False
        except Invalid as wrong:
            return State.invalid, _said(wrong.pointed()), False
        except Refused as refused:
            return State.refused, _said(str(refused)), False
        except Failed as failed:
            if caps.is_long(str(failed)):
                return State.failed, *await self._keep(str(failed))
            return State.failed, _said(str(failed)), False
        except TimeoutError as late:
            if limit.expired():
                text = f"{self._ask.name} was not done in {self._ask.command.timeout:g} s and was ended"
            else:
                text = f"{self._ask.name} timed out{f': {late}' if str(late) else ''}"
            return State.failed, _said(text), False
        except (Exception, SystemExit, asyncio.CancelledError) as bug:
            if isinstance(bug, asyncio.CancelledError) and is_cancelled():
                raise
            return State.failed, self._incident(), False

    async def _result(self, method: Method, find: Find) -> Any:
        module = find(self._ask.instance)
        made = method(module, self._call, *self._ask.args.values())
        if not self._ask.command.streams:
            return await made
        sessions, withdrawn = self._hold()
        is_running = partial(_is_there, module, find, self._ask.instance)
        session = sessions.begin(self.incoming, self._ask, self.audience, withdrawn, is_running)
        self._session = session
        return await sessions.run(session, made)

    def _incident(self) -> Answer:
        number = self.incoming.id[-6:]
        self._log.exception("incident %s: bug in %s", number, self._ask.name)
        return Answer(f"bug in {self._ask.name}, incident {number}; the site's log has the rest")

    def _progress(self, text: str, fraction: float | None) -> None:
        now = self._clock.monotonic()
        if now - self._noted >= _PROGRESS_EVERY and not self._over:
            self._noted = now
            text = caps.note(text, self._ask.hidden)
            self.audience.progress(text, fraction)
            if now - self._kept >= _KEEP_EVERY:
                self._kept = now
                self.keep(text if fraction is None else f"{fraction:.0%} {text}".rstrip())

    async def _say_running(self) -> None:
        await self._clock.sleep(self.incoming.deadline)
        text = f"still at it after {self.incoming.deadline:g} s"
        self.audience.ended(Ended(self.incoming.id, State.running, text))


def _said(text: str) -> Answer:
    """Messages quote what was typed and what hosts say."""
    return Answer(visible(text))


def _is_there(module: Module[Any], find: Find, instance: str) -> bool:
    """Whether the instance still is this very module: neither stopped nor crashed nor loaded anew."""
    try:
        return find(instance) is module
    except Failed:
        return False
