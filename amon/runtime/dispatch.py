"""The one path of every request at a site: parse, decide, journal, run, journal, answer.

No front may go around it and no module can: a method is reached through the registry of declared commands only, after
the policy has decided and, for what changes the site, after the journal has it on the disk.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from amon.access import AuditRecord, Decision
from amon.clock import Clock
from amon.command import Ask, Call, Grammar, answer_of
from amon.convert import to_data
from amon.errors import Failed, Invalid, Refused
from amon.module import Module
from amon.runtime.caps import ended
from amon.runtime.incoming import Incoming, Replies
from amon.store import Journal, Record
from amon.wire import Ended, WireError, decode, encode
from amon.words import Answer, Effect, Role, State

_MOST_CALLS = 256  # under way at once; a flood is refused, not queued
_PROGRESS_EVERY = 0.25  # seconds between two notes of progress

Find = Callable[[str], Module[Any]]  # instance name -> its module; raises Failed while it is not running


@dataclass(slots=True)
class _Under:
    """A call under way: who hears of it, the task that does it."""

    task: "asyncio.Task[Any] | None"
    replies: list[Replies] = field(default_factory=list)
    cancelled: bool = False


class Dispatch:
    """grammar: asked anew each time, because instances come and go. find: where an instance's module is."""

    def __init__(self, grammar: Callable[[], Grammar], find: Find, journal: Journal, clock: Clock) -> None:
        self._grammar = grammar
        self._find = find
        self._journal = journal
        self._clock = clock
        self._under: dict[tuple[str, str], _Under] = {}
        self._log = logging.getLogger("amon.dispatch")
        self.handled = 0

    async def handle(self, incoming: Incoming, replies: Replies) -> None:
        """From words to outcome. Whatever happens, `replies` hears of exactly one end (besides `running`)."""
        self.handled += 1
        decision = self._decide(incoming, Role.observer)
        if not decision.allowed:
            await self._refuse(incoming, decision, replies)
            return
        try:
            ask = self._grammar().read(incoming.line)
        except Invalid as wrong:
            replies.ended(Ended(incoming.id, State.invalid, wrong.pointed()))
            return
        decision = self._decide(incoming, ask.command.role)
        if not decision.allowed:
            await self._refuse(incoming, decision, replies)
        elif self._must_ask(incoming, ask):
            plan = await self._planned(incoming, ask)
            if plan.state == State.done:
                replies.needs_word(ask.command.effect, plan.text)
            else:
                replies.ended(plan)
        elif incoming.dry_run or ask.dry_run:
            replies.ended(await self._planned(incoming, ask))
        else:
            await self._call(incoming, ask, decision, replies)

    def cancel(self, asker: str, ident: str) -> bool:
        """End the asker's call; only its own asker can."""
        under = self._under.get((asker, ident))
        if under is None or under.task is None:
            return False
        under.cancelled = True
        under.task.cancel()
        return True

    async def repeat(self, asker: str, ident: str, replies: Replies) -> bool:
        """Tell again what became of a request: True if it is known here."""
        under = self._under.get((asker, ident))
        if under is not None:
            under.replies.append(replies)
            replies.accepted()
            return True
        record = await self._journal.find(asker, ident)
        if record is None:
            return False
        self._tell_again(record, replies)
        return True

    def under_way(self) -> int:
        return len(self._under)

    # What follows is the path itself, in its order.

    def _decide(self, incoming: Incoming, needed: Role) -> Decision:
        return incoming.door.policy.decide(incoming.asker, needed, incoming.door.agents_domain)

    def _must_ask(self, incoming: Incoming, ask: Ask) -> bool:
        if incoming.confirmed or incoming.dry_run or ask.dry_run or incoming.sites < 2:
            return False
        return ask.command.effect is not Effect.read

    async def _refuse(self, incoming: Incoming, decision: Decision, replies: Replies) -> None:
        self._log.info("refused %s: %s", incoming.asker.jid, decision.reason)
        replies.ended(Ended(incoming.id, State.refused, decision.reason))
        record = self._audit(incoming, incoming.line[:200], decision, State.refused)
        try:
            await self._journal.audit(record)
        except Failed as fault:
            self._log.error("%s", fault)

    async def _planned(self, incoming: Incoming, ask: Ask) -> Ended:
        """What would be done; for a reading command that is to read, so nothing is to be said but that."""
        if ask.command.plan is None:
            return Ended(incoming.id, State.done, f"would read: {ask.name}")
        return await self._outcome(incoming, ask, ask.command.plan, _nobody)

    async def _call(self, incoming: Incoming, ask: Ask, decision: Decision, replies: Replies) -> None:
        key = (incoming.asker.jid, incoming.id)
        if key in self._under:
            await self.repeat(*key, replies)
            return
        if len(self._under) >= _MOST_CALLS:
            replies.ended(Ended(incoming.id, State.refused, f"busy with {len(self._under)} calls; ask again later"))
            return
        # Registered before the first wait, so that the same request arriving twice at once finds itself.
        under = self._under[key] = _Under(asyncio.current_task(), [replies])
        try:
            await self._journalled(incoming, ask, decision, under)
        finally:
            del self._under[key]

    async def _journalled(self, incoming: Incoming, ask: Ask, decision: Decision, under: _Under) -> None:
        shown = _shown(ask)
        record = Record(
            incoming.asker.jid,
            incoming.id,
            incoming.door.account,
            incoming.asker.reply_to,
            shown,
            ask.command.effect,
            self._clock.time(),
        )
        changes = ask.command.effect is not Effect.read
        try:
            known = await self._journal.accept(record, durable=changes)
        except Failed as fault:
            if changes:
                _tell(under, Ended(incoming.id, State.failed, f"{fault}; nothing was done"))
                return
            known = None  # a site whose disk is full can still be looked at
        if known is not None:
            for replies in under.replies:
                self._tell_again(known, replies)
            return
        for replies in under.replies:
            replies.accepted()
        outcome = await self._run(incoming, ask, under)
        finished = replace(record, state=outcome.state, outcome=encode(outcome), ended=self._clock.time())
        try:
            await self._journal.end(finished, self._audit(incoming, shown, decision, outcome.state))
        except Failed as fault:
            self._log.error("%s", fault)
        _tell(under, outcome)

    async def _run(self, incoming: Incoming, ask: Ask, under: _Under) -> Ended:
        """The call itself. A cancellation that the asker wished is an outcome; any other one is the agent's own end."""
        noted = [0.0]

        def progress(text: str, fraction: float | None) -> None:
            now = self._clock.monotonic()
            if now - noted[0] >= _PROGRESS_EVERY:
                noted[0] = now
                for replies in under.replies:
                    replies.progress(text, fraction)

        reminder = asyncio.create_task(self._say_running(incoming, under), name=f"deadline of {incoming.id}")
        try:
            return await self._outcome(incoming, ask, ask.command.run, progress)
        except asyncio.CancelledError:
            if under.cancelled:
                task = asyncio.current_task()
                assert task is not None
                task.uncancel()
                return Ended(incoming.id, State.cancelled, "cancelled while it ran; look what it left")
            _tell(under, Ended(incoming.id, State.failed, "the agent was stopped while doing this; ask for its state"))
            raise
        finally:
            reminder.cancel()

    async def _say_running(self, incoming: Incoming, under: _Under) -> None:
        await self._clock.sleep(incoming.deadline)
        _tell(under, Ended(incoming.id, State.running, f"still at it after {incoming.deadline:g} s"))

    async def _outcome(
        self,
        incoming: Incoming,
        ask: Ask,
        method: Callable[..., Awaitable[Any]],
        progress: Callable[[str, float | None], None],
    ) -> Ended:
        """Run a method and make its end, good or bad, into words and data. Only cancellation passes through."""
        began = self._clock.monotonic()
        state, answer = State.done, Answer()
        try:
            role, rule = incoming.door.policy.role_of(incoming.asker.jid) or (Role.observer, "")
            call = Call(incoming.id, incoming.asker, role, rule, incoming.deadline, progress)
            async with asyncio.timeout(ask.command.timeout) as limit:
                result = await method(self._find(ask.instance), call, *ask.args.values())
            answer = answer_of(result)
        except Refused as refused:
            state, answer = State.refused, Answer(str(refused))
        except Failed as failed:
            state, answer = State.failed, Answer(str(failed))
        except TimeoutError as late:
            ours = limit.expired()
            text = f"was not done in {ask.command.timeout:g} s and was ended" if ours else f"timed out: {late}"
            state, answer = State.failed, Answer(f"{ask.name} {text}")
        except Exception:
            incident = incoming.id[-6:]
            self._log.exception("incident %s: bug in %s", incident, ask.name)
            state, answer = State.failed, Answer(f"bug in {ask.name}, incident {incident}; the site's log has the rest")
        return ended(incoming.id, state, answer, self._clock.monotonic() - began)

    def _tell_again(self, record: Record, replies: Replies) -> None:
        if record.outcome is None:
            replies.ended(Ended(record.id, State.lost, "begun here before and never heard of again"))
            return
        try:
            outcome = decode(record.outcome)
        except WireError as wrong:  # written by another version
            outcome = Ended(record.id, record.state or State.lost, f"the outcome cannot be read any more: {wrong}")
        if isinstance(outcome, Ended):
            replies.ended(outcome)

    def _audit(self, incoming: Incoming, line: str, decision: Decision, outcome: str) -> AuditRecord:
        return AuditRecord(
            self._clock.time(),
            incoming.door.account,
            incoming.asker.jid,
            incoming.asker.room,
            incoming.id,
            line,
            decision.allowed,
            decision.rule,
            outcome,
        )


def _nobody(text: str, fraction: float | None) -> None:
    pass


def _tell(under: _Under, outcome: Ended) -> None:
    for replies in under.replies:
        replies.ended(outcome)


def _shown(ask: Ask) -> str:
    """The line as it may be written down: values in full, secrets masked."""
    values = []
    for param in ask.command.params:
        value = ask.args[param.name]
        values.append(f"{param.name}={'***' if param.secret else to_data(value)}")
    return " ".join([ask.name, *values])[:1000]
