"""The one path of every request at a site: read, decide, journal, decide again, run, journal, answer.

No front may go around it and no module can: a method is reached through the registry of declared commands only, after
the policy has decided and, for what changes the site, after the journal has it on the disk. Between the two decisions
a request may have waited: for the disk, for a signature, for a second person. The policy of the moment counts.

Theory of operation. A request with an id arrives once or many times, in any agent that ever serves this site's state:

    received ── accept ──> accepted ── run ──> ended          accept, end: written in the journal
       └─ refused, invalid ──> told     └─ agent dies ──> interrupted ── next start ──> ended (lost)

Acceptance is the point of no return. For what changes anything it is synced to the disk before the method starts, so
that after a power loss there are only two cases. Nothing is found: it never began, and a repeat may run it. It is found
but not ended: it may have begun, nobody knows how far, and it must not run again; the next agent ends it as `lost`,
with the last that it said of its progress, and tells so. A repeat of what is under way hears of its end, a repeat of
what has ended is told the stored outcome, and the id of another request is refused: the same id never runs twice. How
it ended is written before it is told.
What is only planned, or waits for somebody's word, is not accepted yet; an agent that ends then has done nothing. That
no second person said yes is an end, which is written down like others.

Each request that is decided leaves one line in the audit, whether it was done, planned, refused or not understood.
"""

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from amon.access import Decision, Quota, Wanted
from amon.clock import Clock
from amon.command import Grammar, split
from amon.command.declare import Command
from amon.command.grammar import title
from amon.errors import Failed, Invalid, Refused
from amon.runtime.asked import Asked, audit_line, shown_line, stored
from amon.runtime.incoming import Audience, Incoming, Replies
from amon.runtime.rates import Rates
from amon.runtime.seals import REFUSAL, Seals
from amon.runtime.seconds import Seconds
from amon.runtime.wanted import wanted_of
from amon.runtime.work import Find, Work
from amon.store import Journal, Record
from amon.text import normal_line, visible
from amon.wire import Ended, encode
from amon.words import Asker, Effect, State

if TYPE_CHECKING:
    from amon.runtime.outputs import Outputs
    from amon.runtime.sessions import Sessions

_MOST_CALLS = 256  # under way at once; a flood is refused, not queued
_REFUSALS = (20, 60.0)  # that many of one asker, or of all strangers, in so many seconds are written down
_NO_KEYS = "this has to be signed, and this site knows nobody's key; its owner names a file with them as `signers`"


class Dispatch:
    """grammar: asked anew each time, because instances come and go. find: where an instance's module is.

    changed: called whenever something was changed here that somebody asked for, well or not. folder: for what is too
    long for one message.
    """

    def __init__(
        self,
        grammar: Callable[[], Grammar],
        find: Find,
        journal: Journal,
        clock: Clock,
        changed: Callable[[], None] = lambda: None,
        folder: Path | None = None,
    ) -> None:
        self._grammar = grammar
        self._find = find
        self._journal = journal
        self._clock = clock
        self._changed = changed
        self._under: dict[tuple[str, str, str], Work] = {}
        self._refusals = Quota(*_REFUSALS)
        self._rates = Rates()
        self._seconds = Seconds(clock)
        self._sessions: Sessions | None = None
        self._folder = folder
        self._outputs: Outputs | None = None
        self.seals = Seals()
        self._log = logging.getLogger("amon.dispatch")
        self.handled = 0

    async def handle(self, incoming: Incoming, replies: Replies) -> None:
        """From words to outcome. Whatever happens, `replies` hears of exactly one end (besides `running`)."""
        self.handled += 1
        audience = Audience(replies)
        decision = self._decide(incoming, None)
        if decision.allowed or decision.sign:
            many = self._rates.problem(incoming, self._clock.monotonic())
            decision = Decision(False, many, "rate", decision.role) if many else decision
        if not decision.allowed and not decision.sign:
            await self._refuse(incoming, self._named(incoming.line), decision, audience)
            return
        try:
            if incoming.unread:
                raise Invalid(incoming.unread)
            ask = self._grammar().read(normal_line(incoming.line))
        except Invalid as wrong:
            audience.ended(Ended(incoming.id, State.invalid, wrong.pointed()))
            await self._audit(incoming, self._named(incoming.line), decision, State.invalid)
            return
        wanted = wanted_of(ask)
        asked = Asked(incoming, ask, wanted, self._decide(incoming, wanted), shown_line(ask))
        if asked.needs_signature and asked.decision.allowed and not incoming.door.authority.signers.lines:
            asked = replace(asked, decision=Decision(False, _NO_KEYS, "signature", asked.decision.role))
        if asked.decision.allowed:
            await self._allowed(asked, audience)
        elif asked.decision.sign and not asked.dry_run:
            # His key may and he alone may not: not even a plan of it is made for him until he signs.
            await self._audit(incoming, asked.shown, asked.decision, "needs a signature", asked.effect)
            audience.needs_word(asked.ask.command.effect, visible(asked.decision.reason), True)
        else:
            await self._refuse(incoming, asked.shown, asked.decision, audience, asked.effect)

    async def reject(self, incoming: Incoming, detail: str, replies: Replies) -> None:
        """Refuse what came with a signature that was not accepted. Who sent it is not told why; the log is."""
        decision = Decision(False, REFUSAL, f"signature: {visible(detail)[:200]}")
        await self._refuse(incoming, self._named(incoming.line) if incoming.line else "", decision, Audience(replies))

    async def refuse(self, incoming: Incoming, decision: Decision, effect: str, replies: Replies) -> None:
        """Refuse, by the decision of the moment, what is not said in full yet: a form of a command that he may not."""
        await self._refuse(incoming, self._named(incoming.line), decision, Audience(replies), effect)

    def approve(self, asker: Asker, ident: str, word: str) -> str:
        """The second person's yes, given by a call of his own that is under way. `Refused` says why it is none."""
        mine = [work for (_, jid, mine), work in self._under.items() if (jid, mine) == (asker.jid, ident)]
        if not mine:
            raise Refused("a yes needs a request of its own")
        return self._seconds.approve(mine[0].incoming, word, self._clock.time())

    def cancel(self, key: tuple[str, str, str]) -> bool:
        """End a call under way. The key has its asker in it: only he can."""
        work = self._under.get(key)
        return work is not None and work.cancel()

    async def repeat(
        self, key: tuple[str, str, str], replies: Replies, found: Callable[[str], None] = lambda asked: None
    ) -> bool:
        """Tell again what became of a request: True if it is known here. `Failed` if the journal cannot be read.

        found: told first in which body it was asked: the id may have been put on something else.
        """
        if key in self._under:
            found(self._under[key].incoming.asked)
            return self._join(key, replies)
        account, asker, ident = key
        record = await self._journal.find(asker, ident)
        if record is None or record.account != account:
            return False
        found(record.asked)
        replies.ended(stored(record))
        return True

    @property
    def sessions(self) -> "Sessions":
        """Those that are open here. Made when first used: most agents never have one."""
        if self._sessions is None:
            from amon.runtime.sessions import Sessions

            self._sessions = Sessions(self._clock)
        return self._sessions

    def outputs(self) -> "Outputs":
        """What was too long for one message."""
        if self._outputs is None:
            from amon.runtime.outputs import Outputs  # most calls never need it

            self._outputs = Outputs(self._folder)
        return self._outputs

    def end_sessions(self, instances: Iterable[str]) -> None:
        """Those of instances that are about to be stopped."""
        if self._sessions is not None:
            self._sessions.end_of(instances)

    def names_sites(self, line: str) -> bool:
        """Whether this is for a command that may name other sites."""
        try:
            _, command, _ = self._grammar().find(line, split(line))
        except (Invalid, IndexError):
            return False
        return command.names_sites

    def under_way(self) -> int:
        return len(self._under)

    # What follows is the path itself, in its order.

    def _decide(self, incoming: Incoming, wanted: Wanted | None) -> Decision:
        return incoming.door.authority.decide(incoming.asker, wanted, self._clock.time())

    def _keep(self, incoming: Incoming, text: str) -> None:
        self._journal.progress(incoming.asker.jid, incoming.id, text, self._clock.time())

    def _may(self, incoming: Incoming, instance: str, command: Command) -> bool:
        """Whether he may ask for it, with one value or another."""
        wanted = Wanted(instance, command.name, command.role, command.effect, some=True)
        return self._decide(incoming, wanted).allowed

    async def _refuse(
        self, incoming: Incoming, shown: str, decision: Decision, audience: Audience, effect: str = ""
    ) -> None:
        audience.ended(Ended(incoming.id, State.refused, visible(decision.reason)))
        who = incoming.door.authority.counted_as(incoming.asker)
        left = self._refusals.take(who, self._clock.monotonic())
        if left:
            self._log.info("refused %s: %s (%s)", incoming.asker.jid, decision.reason, decision.rule)
            more = "" if left > 1 else f"; more within {self._refusals.every:g} s are not written down"
            await self._audit(incoming, shown, decision, f"{State.refused}{more}", effect)

    async def _allowed(self, asked: Asked, audience: Audience) -> None:
        incoming, key = asked.incoming, asked.incoming.key
        # Nothing is waited for between looking and entering: the same request arriving twice at once finds itself.
        under = self._under.get(key)
        if under is not None and not under.incoming.asks_the_same(incoming):
            await self._refuse_id(asked, under.name, audience)
            return
        if self._join(key, audience):
            return
        if len(self._under) >= _MOST_CALLS:
            text = f"busy with {len(self._under)} calls; ask again later"
            await self._refuse(incoming, asked.shown, replace(asked.decision, reason=text), audience, asked.effect)
            return
        may = partial(self._may, incoming)
        hold = partial(self._hold, asked)
        work = Work(incoming, asked.ask, asked.decision, may, audience, self._clock, hold, self.outputs)
        work.keep = partial(self._keep, incoming)
        self._under[key] = work
        try:
            if asked.dry_run or asked.needs_word:
                await self._planned(asked, work)
            elif incoming.door.authority.needs_second(asked.wanted):
                await self._called_by_two(asked, work)
            else:
                await self._called(asked, work)
        finally:
            del self._under[key]

    async def _planned(self, asked: Asked, work: Work) -> None:
        """What would be done. A reading command has no plan: it would read."""
        incoming, command = asked.incoming, asked.ask.command
        if command.plan is None:
            outcome = Ended(incoming.id, State.done, f"would read: {asked.ask.name}")
        else:
            outcome = await work.outcome(command.plan, self._find)
        needs_word = asked.needs_word and outcome.state == State.done
        lacks = "a signature" if asked.needs_signature else "a yes"
        word = f"needs {lacks}" if needs_word else f"dry run: {outcome.state}"
        # Written down first: the yes may come at once, and must not find this question still under way.
        await self._audit(incoming, asked.shown, asked.decision, word, asked.effect)
        if needs_word:
            work.audience.needs_word(command.effect, outcome.text, asked.needs_signature)
        else:
            work.audience.ended(outcome)

    async def _called_by_two(self, asked: Asked, work: Work) -> None:
        incoming, known = asked.incoming, None
        with suppress(Failed):  # a journal that cannot be read cannot be written either, which is said below
            known = await self._journal.find(incoming.asker.jid, incoming.id)
        if known is not None:
            await self._told_again(asked, known, asked.record(self._clock.time()), work)
            return
        work.audience.accepted(work.name)
        try:
            second = await self._seconds.wait(incoming, asked.wanted, asked.shown, work)
        except Refused as refused:
            why = replace(asked.decision, reason=str(refused))
            await self._refuse(incoming, asked.shown, why, work.audience, asked.effect)
            return
        if second is None:
            state = State.cancelled if work.stopped.is_set() else State.expired
            # An end like any other: what was taken back cannot be sent again by a server that has it signed.
            outcome = Ended(incoming.id, state, "no second person said yes; nothing was done")
            await self._end(asked, asked.record(self._clock.time()), outcome, work)
            return
        fault = self._signature_fault(asked)
        if fault:
            why = Decision(False, fault, "signature", asked.decision.role)
            await self._refuse(incoming, asked.shown, why, work.audience, asked.effect)
            return
        rule = f"{asked.decision.rule}; second person {second.jid}"
        await self._called(replace(asked, decision=replace(asked.decision, rule=rule)), work)

    def _hold(self, asked: Asked) -> "tuple[Sessions, Callable[[], str]]":
        return self.sessions, partial(self._withdrawn, asked)

    def _withdrawn(self, asked: Asked) -> str:
        """Why somebody may not have any more what he was allowed; empty while he may."""
        again = self._decide(asked.incoming, asked.wanted)
        return self._signature_fault(asked) if again.allowed else again.reason

    def _signature_fault(self, asked: Asked) -> str:
        """Why a request that waited for minutes is not signed well enough by now; empty if it is."""
        asker, authority = asked.incoming.asker, asked.incoming.door.authority
        if asker.key and not authority.takes_key(asker, self._clock.time()):
            return f"{asker.key} does not count here any more; sign it again with another key"
        return "this has to be signed by now; sign it again" if asked.needs_signature else ""

    async def _called(self, asked: Asked, work: Work) -> None:
        incoming, record = asked.incoming, asked.record(self._clock.time())
        changes = asked.ask.command.effect is not Effect.read
        begun = asked.audit_line(State.accepted, self._clock.time()) if changes else None
        try:
            known = await self._journal.accept(record, durable=changes, audit=begun)
        except Failed as fault:
            self._log.debug("%s", fault)  # the node says once that the journal is broken, and once that it is mended
            if changes:
                await self._audit(asked.incoming, asked.shown, asked.decision, "failed: journal broken", asked.effect)
                work.audience.ended(Ended(record.id, State.failed, f"{fault}; nothing was done"))
                return
            known = None  # a site whose disk is full can still be looked at
        if known is not None:
            await self._told_again(asked, known, record, work)
            return
        work.audience.accepted(work.name)
        again = self._decide(incoming, asked.wanted)
        if again.allowed:
            outcome = await work.outcome(asked.ask.command.run, self._find)
        else:  # whoever lost the right while his request waited does not get it done any more
            asked, outcome = replace(asked, decision=again), Ended(incoming.id, State.refused, visible(again.reason))
        if changes and outcome.state not in (State.refused, State.invalid):
            self._changed()
        await self._end(asked, record, outcome, work)

    async def _end(self, asked: Asked, record: Record, outcome: Ended, work: Work) -> None:
        """Written before it is told."""
        ended = replace(record, state=outcome.state, outcome=encode(outcome), ended=self._clock.time())
        try:
            await self._journal.end(ended, asked.audit_line(outcome.state, self._clock.time()))
        except Failed as fault:
            self._log.debug("%s", fault)
        work.audience.ended(outcome)

    async def _told_again(self, asked: Asked, known: Record, record: Record, work: Work) -> None:
        """What a repeat hears. The id of another request is a refusal like others: it may be a replay."""
        if (known.account, known.line) == (record.account, record.line):
            work.audience.ended(stored(known))
            return
        await self._refuse_id(asked, known.line[:64], work.audience)

    async def _refuse_id(self, asked: Asked, other: str, audience: Audience) -> None:
        """Clients that count their messages from one use an id for something else some day."""
        text = f"this message has the id of an earlier one ({other}); nothing was done, send it again"
        decision = replace(asked.decision, reason=text, rule="used id")
        await self._refuse(asked.incoming, asked.shown, decision, audience, asked.effect)

    def _join(self, key: tuple[str, str, str], replies: Replies) -> bool:
        if key not in self._under:
            return False
        work = self._under[key]
        work.audience.add(replies)
        replies.accepted(work.name)
        return True

    # What is written down

    async def write_down(self, incoming: Incoming, shown: str, decision: Decision, outcome: str) -> None:
        """A line in the audit for what is no command."""
        await self._audit(incoming, shown, decision, outcome)

    async def _audit(self, incoming: Incoming, shown: str, decision: Decision, outcome: str, effect: str = "") -> None:
        try:
            await self._journal.audit(audit_line(incoming, shown, decision, outcome, self._clock.time(), effect))
        except Failed as fault:
            self._log.debug("%s", fault)

    def _named(self, line: str) -> str:
        """What a line asks for, without the values: they may be secret, and nobody has read which."""
        try:
            words = split(line)
            instance, command, used = self._grammar().find(line, words)
        except (Invalid, IndexError):
            first = visible(line.strip()[:64], lines=False).partition(" ")[0]
            return f"{first} ..."
        return title(instance, command) + (" ..." if len(words) > used else "")
