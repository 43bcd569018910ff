"""Those of a job whose turn it is are asked: signed where that is wanted, sent, and reminded once.

Nobody begins while there is no way to the server; who could not be sent to is in line again.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from amon.clock import Clock
from amon.errors import Failed
from amon.job import Book, Rollout, Wait
from amon.runtime.delivery import Job, deliver, digests, direct
from amon.runtime.envelopes import Envelopes
from amon.runtime.fleet import Fleet
from amon.words import State

_REMIND_AFTER = 0.4  # of the time to accept
_PATIENCE = (
    120.0  # seconds without a connection after which nobody else is begun, unless the job waits for sites anyway
)
_LOST = "the connection to the server was lost before its turn came"


Gate = Callable[[Sequence[str]], Collection[str]]
"""Those whose turn it is, in order -> those that may begin now. `Failed`: nobody may any more."""


class Turns:
    """gate: lets in whose turn it is, where there is one. sent: what went to each site last.

    bodies: digests of all that was sent to each site, as its signature may name them, an earlier program's among them.
    through: who got it through the room.
    """

    def __init__(
        self, fleet: Fleet, room: str | None, job: Job, clock: Clock, book: Book, rollout: Rollout, envelopes: Envelopes
    ) -> None:
        self.job = job
        self.book = book
        self.rollout = rollout
        self.envelopes = envelopes
        self.gate: Gate | None = None
        self.sent: dict[str, Job] = {}
        self.bodies: dict[str, set[str]] = {}
        self.through: set[str] = set()
        self.is_cancelled = False
        self._fleet = fleet
        self._room = room
        self._clock = clock
        self._reminders: deque[tuple[float, Job]] = deque()
        self._offline_since: float | None = None

    def begin_more(self) -> None:
        """Begin those whose turn it is, unless there is no way to them; then wait for one for a while."""
        now = self._clock.monotonic()
        if not self.book.waiting or self.rollout.stopped:
            return
        if self._fleet.connection.online:
            self._offline_since = None
            self.begin()
        elif self._offline_since is None:
            self._offline_since = now
        elif now >= self._offline_since + _PATIENCE and self.job.queue_until is None:
            self.stop(_LOST)

    def begin(self) -> bool:
        """False: nobody could be reached whose turn it is, because there is no session."""
        now = self._clock.monotonic()
        names = self.rollout.ready(self.book, now)
        if self.rollout.stopped:
            self.stop(self.rollout.stopped)
        names = self._let_in(names)
        if not names:
            return True
        unsigned = self.envelopes.missing(names, now)
        for name in unsigned:
            self.book.hold(name, now, Wait.signature, "waits for your signature")
        self.envelopes.held += unsigned
        self._sign(now)
        left = frozenset(unsigned)
        return self.ask(self._part([name for name in names if name not in left]))

    def _let_in(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Those that may begin; the others stay at the head of the line."""
        if self.gate is None or not names:
            return names
        try:
            may = self.gate(names)
        except Failed as fault:
            self.stop(str(fault))
            return ()
        for name in reversed(names):
            if name not in may:
                self.rollout.back(name)
        return tuple(name for name in names if name in may)

    def confirmed(self, again: Job) -> None:
        """Somebody said yes to the whole job: these sites get it `again`, and all others confirmed from now on."""
        self.job = replace(self.job, confirmed=True)
        self.envelopes.forget()  # they are over a request that nobody had said yes to
        self.envelopes.take(again.sealed, self._clock.monotonic())
        self.ask(replace(again, names=tuple(name for name in again.names if not self.book[name].state.ended)))

    def _sign(self, now: float) -> None:
        if self.envelopes.held and self.envelopes.task is None:
            self.envelopes.begin(self._part(()), self.rollout.upcoming, now)

    def signed(self) -> None:
        """Those that were signed for go out now."""
        try:
            names = self.envelopes.finish()
        except Failed as fault:
            self.stop(f"not signed: {fault}")
            return
        self.ask(self._part([name for name in names if self.book[name].waits is Wait.signature]))
        self._sign(self._clock.monotonic())

    def _part(self, names: Sequence[str]) -> Job:
        return replace(self.job, names=tuple(names), whole=self.job.sites, sealed={})

    def stop(self, why: str) -> None:
        """Begin nobody any more; who waits, for whatever it is, has not started."""
        self.rollout.stop(why)
        self.envelopes.close()
        self.book.stop(why, self._clock.monotonic())

    def cancel(self) -> None:
        """Nobody gets it any more, not even again: who has missed it would do it after he was told to stop."""
        self.is_cancelled = True
        self._reminders.clear()
        self.rollout.stop("was cancelled before its turn came")
        self.envelopes.close()

    def ask(self, job: Job) -> bool:
        """Send it to these sites; their times start now. Those that cannot be sent to for want of a session wait.

        False: that is all of them.
        """
        now, unsent = self._clock.monotonic(), []
        for name in job.names:
            self.book.ask(name, now)
        for part, aloud in self.envelopes.parts(job):
            through, failed = deliver(self._fleet, self._room if aloud else None, part)
            unsent += failed
            self.through.update(through)
            self.sent.update(dict.fromkeys(part.names, part))
            if self._fleet.keys.lines:
                for name, body in digests(part, through):
                    self.bodies.setdefault(name, set()).add(body)
            if through:
                self._reminders.append((now + _REMIND_AFTER * job.accept_by, part))
        for name in reversed(unsent):
            self.book.hold(name, now, Wait.turn, "waits for the connection to the server")
            self.rollout.back(name)
        return not unsent or len(unsent) < len(job.names)

    def repeat(self) -> None:
        """Our connection was lost, and it may be that what was sent before never arrived."""
        if self.is_cancelled:
            return
        for name, job in self.sent.items():
            row = self.book[name]
            if row.state is State.pending and not row.waits:
                direct(self._fleet, job, name)

    def remind(self) -> None:
        """Ask those direct whom the room has not reached: online, but thrown out of it and not back yet.

        A site that has the request knows it by its id and does nothing twice.
        """
        while self._reminders and self._clock.monotonic() >= self._reminders[0][0]:
            _, job = self._reminders.popleft()
            for name in job.names:
                row = self.book[name]
                if row.state is State.pending and not row.waits:
                    direct(self._fleet, job, name)

    def next_due(self) -> float | None:
        """When `remind` and `begin_more` are needed next, besides each time that a row has ended."""
        dues = [at for at, _ in self._reminders][:1]
        if not self.book.waiting:
            due = None
        elif self._offline_since is None:
            due = self.rollout.next_due()
        else:
            due = self._offline_since + _PATIENCE if self.job.queue_until is None else None
        return min(dues if due is None else [*dues, due], default=None)
