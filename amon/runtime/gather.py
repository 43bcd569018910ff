"""The mirror of dispatch: one request to many sites, delivered, collected, and its book closed.

Delivery is one port with two ways behind it. Through the room: one message, however many sites. Direct: one message per
site, which bounces where nobody is. The asker does not notice which.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from amon.clock import Clock
from amon.errors import Failed
from amon.ids import digest
from amon.job import Book, Plan
from amon.runtime.fleet import Fleet
from amon.runtime.mailbox import Letter, Mailbox
from amon.runtime.proofs import Word
from amon.wire import Accepted, Cancel, Ended, NeedsWord, Progress, Request, body_of, encode, unseal
from amon.words import Answer, Column, Outcome, State, Whole

PACK = 200  # names in one request
ROOM_MOST = 100  # sites; beyond, one message each costs no more and needs no room (measured)
_REMIND_AFTER = 0.4  # of the time to accept


@dataclass(frozen=True, slots=True)
class Job:
    """One request to many sites. Times in seconds. sealed: what each site gets, where it is signed (signing.py).

    plan: how it is spread over them. queue_until: until when (epoch seconds) sites that are offline may still get it.
    """

    id: str
    line: str
    names: tuple[str, ...]
    deadline: float = 30.0
    accept_by: float = 5.0
    dry_run: bool = False
    confirmed: bool = False
    sealed: Mapping[str, str] = field(default_factory=dict)
    plan: Plan = Plan()
    queue_until: float | None = None


class Gathering:
    """One job under way, between `gathering(...)` and the end of its block.

    asking: sites that did nothing yet because somebody must say yes first, or sign, with their plans. words: how far
    the answer of each site is to be trusted, where a key of it is known. watch: called after each change of the book.
    """

    def __init__(self, fleet: Fleet, room: str | None, job: Job, clock: Clock, letters: Mailbox) -> None:
        self.job = job
        self.book = Book(job.id, job.names, clock.monotonic(), job.accept_by, job.deadline)
        self.asking: dict[str, NeedsWord] = {}
        self.words: dict[str, Word] = {}
        self.watch: Callable[[], None] = lambda: None
        self._fleet = fleet
        self._room = room
        self._clock = clock
        self._letters = letters
        self._cancelled = asyncio.Event()
        self._sent = job
        self._asked: set[str] = set()
        self._remind_at: float | None = None

    def send(self) -> None:
        self._send(self.job)

    def _send(self, job: Job) -> None:
        self._sent = job
        through = deliver(self._fleet, self._room, job)
        if self._fleet.keys.lines:
            self._asked.update(digest(body) for body in bodies(job, through))
        self._remind_at = self._clock.monotonic() + _REMIND_AFTER * job.accept_by if through else None

    async def collect(self) -> None:
        """Until the book is closed, or nothing is open but questions."""
        await self.until(self._settled)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Read what comes back until `condition`, also after the book has closed: late outcomes amend it."""
        self.watch()
        while not condition():
            await self._next()
            self.watch()

    def again(self) -> Job:
        """The same request, confirmed, for the sites that asked back."""
        return replace(self.job, names=tuple(sorted(self.asking)), confirmed=True, sealed={})

    def confirm(self, again: Job | None = None) -> None:
        """Somebody said yes: those sites get it `again`, signed where they want that."""
        again, now = again or self.again(), self._clock.monotonic()
        for name in again.names:
            self.book.ask(name, now)
        self.asking.clear()
        self._send(again)

    def decline(self, why: str) -> None:
        """Nobody said yes: those sites did nothing and will not."""
        for name in self.asking:
            self.book.skip(name, self._clock.monotonic(), why)
        self.asking.clear()

    def cancel(self) -> None:
        """Ask the sites to end what they do; the book closes when they have confirmed or had their grace."""
        for row in self.book.rows():
            if not row.state.ended:
                to = self._fleet.sites[row.site].address
                self._fleet.connection.send_payload(to, encode(Cancel(self.job.id)), id=f"{self.job.id}-cancel")
        self.book.cancel(self._clock.monotonic())
        self._cancelled.set()

    def _settled(self) -> bool:
        if self.book.closed:
            return True
        return bool(self.asking) and all(row.state.ended or row.site in self.asking for row in self.book.rows())

    async def _next(self) -> None:
        """Wait for the next letter, the wish to cancel, or the time at which a row ends by itself."""
        dues = [due for due in (self.book.next_due(), self._remind_at) if due is not None]
        within = max(0.0, min(dues) - self._clock.monotonic()) if dues else None
        waiting = {asyncio.ensure_future(self._letters.get()), asyncio.ensure_future(self._cancelled.wait())}
        if within is not None:
            waiting.add(asyncio.ensure_future(self._clock.sleep(within)))
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
        self._cancelled.clear()
        for one in done:
            letter = one.result()
            if isinstance(letter, Letter):
                self._enter(letter)
        while not self._letters.empty():
            self._enter(self._letters.get_nowait())
        self._remind()
        self.book.tick(self._clock.monotonic())

    def _remind(self) -> None:
        """Ask those direct whom the room has not reached: online, but thrown out of it and not back yet.

        A site that has the request knows it by its id and does nothing twice.
        """
        if self._remind_at is None or self._clock.monotonic() < self._remind_at:
            return
        self._remind_at = None
        for row in self.book.rows():
            if row.state is State.pending and row.site in self._sent.names and row.site not in self.asking:
                _direct(self._fleet, self._sent, row.site)

    def _enter(self, letter: Letter) -> None:
        """Write one letter into the book."""
        book, site, payload, word = self.book, letter.site, letter.payload, letter.word
        if word is Word.signed and letter.asked not in self._asked:
            payload, word = None, Word.other
        if word and site in book and self.words.get(site) not in (Word.forged, Word.other):
            self.words[site] = word
        if payload is None:
            if word:
                pass  # forged, or said of something else: it must not be read
            elif letter.gone:
                book.gone(site, letter.at)
            else:
                book.bounced(site, letter.at, letter.text)
        elif isinstance(payload, Accepted):
            book.accepted(site, letter.at)
        elif isinstance(payload, Progress):
            book.progress(site, letter.at, payload.text, payload.fraction)
        elif isinstance(payload, NeedsWord) and site in book and self._may_ask_back(payload):
            self.asking[site] = payload
            book.hold(site, letter.at)
        elif isinstance(payload, Ended):
            self.asking.pop(site, None)
            book.ended(outcome_of(site, payload), letter.at)

    def _may_ask_back(self, payload: NeedsWord) -> bool:
        """A site cannot ask for ever: once for a yes, once for a signature."""
        return not self._sent.confirmed or (payload.signature and not self._sent.sealed)


@contextlib.contextmanager
def gathering(fleet: Fleet, room: str | None, job: Job, clock: Clock) -> Iterator[Gathering]:
    """The mailbox of the job is open while the block lasts."""
    with fleet.mail(job.id) as letters:
        yield Gathering(fleet, room, job, clock, letters)


def deliver(fleet: Fleet, room: str | None, job: Job) -> list[str]:
    """Send the job on its way; the names it went to through the room. Raises `Failed` when the session is gone.

    Sites that are not seen online get it direct even where there is a room: if they really are not there it comes back
    at once, and that is a fact, where missing presence is a guess.
    """
    by_room = _by_room(fleet, room, job)
    through = [name for name in job.names if by_room and fleet.sites[name].online]
    sent = True
    if through and room is not None:
        body = f"!{job.line} @{','.join(through)}"
        payload = job.sealed.get(through[0]) or encode(request_of(job, through))
        sent = fleet.connection.send_payload(room, payload, id=job.id, body=body)
    for name in job.names:
        if name not in through:
            sent = _direct(fleet, job, name) and sent
    if not sent:
        raise Failed("the connection to the server was lost while sending; ask again")
    return through


def _direct(fleet: Fleet, job: Job, name: str) -> bool:
    payload = job.sealed.get(name) or encode(request_of(job, (name,)))
    return fleet.connection.send_payload(fleet.sites[name].address, payload, id=f"{job.id}-ask")


def bodies(job: Job, through: Sequence[str]) -> Iterator[str]:
    """All that `deliver` sends, and sends again to one alone, as a site sees it. through: what it gave back."""
    yield from (unseal(text).body for text in set(job.sealed.values()))
    plain = [name for name in job.names if name not in job.sealed]
    yield from (body_of(request_of(job, names)) for names in (through, *((name,) for name in plain)) if names)


def _by_room(fleet: Fleet, room: str | None, job: Job) -> bool:
    state = fleet.rooms.get(room or "")
    return state is not None and state.joined and 1 < len(job.names) <= min(ROOM_MOST, PACK)


def request_of(job: Job, names: Sequence[str]) -> Request:
    """What the sites of these names are asked, who are all of the job's or one pack of them."""
    local = tuple(name.partition("@")[0] for name in names)  # a site knows itself by its own name
    return Request(job.id, local, job.line, job.deadline, len(job.names), job.dry_run, job.confirmed)


def outcome_of(site: str, payload: Ended) -> Outcome:
    """A payload as an outcome; a state that is none of ours counts as failed, with the word shown."""
    columns = tuple(Column(*column) for column in payload.columns)
    try:
        state, text = State(payload.state), payload.text
    except ValueError:
        state, text = State.failed, f"unknown state {payload.state!r}: {payload.text}"
    told = payload.whole
    whole = Whole(told.size, told.digest, told.lines, told.cut) if told is not None else None
    return Outcome(site, state, Answer(text, payload.data, columns), payload.seconds, payload.cut, whole)
