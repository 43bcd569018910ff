"""The mirror of dispatch: one request to many sites, delivered, collected, and its book closed.

One way for all jobs: the rollout says whose turn it is (without a plan, everybody's at once), those are asked, and what
comes back is written into the book, which makes it somebody else's turn. A site whose turn has come and that is not
there waits for its presence where the job may wait for it. This file reads what comes back and does what a person
wants. Who is asked when: `turns.py`. Who is not there: `absent.py`. How it reaches a site: `delivery.py`. How a job is
taken up again that an earlier program began: `resuming.py`.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from amon.clock import Clock
from amon.errors import Failed
from amon.ids import digest
from amon.job import Book, Rollout, Wait
from amon.runtime.absent import Absent
from amon.runtime.delivery import PACK, ROOM_MOST, Job, deliver, outcome_of, request_of, tell
from amon.runtime.envelopes import Envelopes, Seal
from amon.runtime.fleet import Fleet
from amon.runtime.mailbox import Letter, Mailbox
from amon.runtime.proofs import Word
from amon.runtime.resuming import GONE, may_be_amended, restored
from amon.runtime.turns import Gate, Turns
from amon.wire import Accepted, Cancel, Chunk, Ended, Fetch, NeedsWord, Output, Progress, body_of
from amon.words import State

if TYPE_CHECKING:
    from amon.runtime.listening import Listening
    from amon.store.ledger import KeptRow

__all__ = ["PACK", "ROOM_MOST", "Gathering", "Job", "deliver", "gathering", "outcome_of", "request_of"]


class Gathering:
    """One job under way, between `gathering(...)` and the end of its block.

    asking: sites that did nothing yet because somebody must say yes first, or sign, with their plans. words: how far
    the answer of each site is to be trusted, where a key of it is known. watch: called after each change of the book.
    more: called with what is no end and no progress: a part of a long output. on_output: gets what sessions say, with
    the site; where it gives something to wait for, that is waited for, and sites send no more than is read. Without it
    sessions end, for nobody hears them. latest: when it is over at the latest (monotonic), not counting the time that a
    person thinks, nor sessions.
    """

    def __init__(
        self, fleet: Fleet, room: str | None, job: Job, clock: Clock, letters: Mailbox, envelopes: Envelopes
    ) -> None:
        now = clock.monotonic()
        rollout = Rollout(job.plan, job.names, _online(fleet, job), now)
        queue = math.inf if job.queue_until is None else now + job.queue_until - clock.time()
        ends = rollout.ends_at
        self.book = Book(job.id, job.names, now, job.accept_by, job.deadline, turns=True, ends=ends, queue_ends=queue)
        each = job.deadline + self.book.grace
        self.latest = max(rollout.latest_end(each), 0.0 if job.queue_until is None else min(queue, ends) + each)
        self.asking: dict[str, NeedsWord] = {}
        self.words: dict[str, Word] = {}
        self.watch: Callable[[], None] = lambda: None
        self.more: Callable[[str, Chunk], None] = lambda site, payload: None
        self.on_output: Callable[[str, Output], Any] | None = None
        self._listening: Listening | None = None
        self._resumed = False
        self._fleet = fleet
        self._clock = clock
        self._letters = letters
        self._turns = Turns(fleet, room, job, clock, self.book, rollout, envelopes)
        self._cancelled = asyncio.Event()
        self._absent = Absent(fleet, clock, self.book, self._turns)
        envelopes.take(job.sealed, now)

    @property
    def job(self) -> Job:
        """As sites whose turn is still to come get it: confirmed, once somebody said yes."""
        return self._turns.job

    @property
    def gate(self) -> Gate | None:
        """Lets in those whose turn it is, where something beside the plan says who may begin."""
        return self._turns.gate

    @gate.setter
    def gate(self, gate: Gate) -> None:
        self._turns.gate = gate

    @property
    def later(self) -> tuple[str, ...]:
        """Sites that were not asked yet. Whoever is asked for a yes has to see them: it is for them, too."""
        return tuple(row.site for row in self.book.rows() if row.waits.unasked)

    # What one may do

    def look_again(self) -> None:
        """Something has changed that the gate asks for."""
        self._cancelled.set()

    def send(self) -> None:
        """Begin with those whose turn it is; `collect` begins the others. `Failed` if there is no session."""
        if not self._turns.begin():
            raise Failed("the connection to the server was lost while sending; ask again")

    async def collect(self) -> None:
        """Until the book is closed, or nothing is under way but questions."""
        self._turns.begin_more()
        await self.until(self._settled)
        if self._listening is not None:
            await self._listening.rest()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Read what comes back until `condition`, also after the book has closed: late outcomes amend it."""
        self.watch()
        while not condition():
            await self._next()
            self.watch()

    def again(self) -> Job:
        """The same request, confirmed, for the sites that asked back."""
        return replace(self.job, names=tuple(sorted(self.asking)), whole=self.job.sites, confirmed=True, sealed={})

    def confirm(self, again: Job | None = None) -> None:
        """Somebody said yes to the whole job: those sites get it `again`, signed where they want that.

        Sites whose turn is still to come get it confirmed, and signed if this was, from the first message on. A yes
        to what was cancelled meanwhile is none.
        """
        if self._turns.is_cancelled:
            self.decline("was cancelled before the yes; nothing was done")
            return
        again = again or self.again()
        self.book.tick(self._clock.monotonic())
        self.asking.clear()
        self._turns.confirmed(again)

    def decline(self, why: str) -> None:
        """Nobody said yes: those sites did nothing and will not, nor will those whose turn is still to come."""
        now = self._clock.monotonic()
        for name in self.asking:
            self.book.skip(name, now, why)
        self.asking.clear()
        self._turns.stop(why)

    def cancel(self) -> None:
        """Ask the sites to end what they do; the book closes when they have confirmed or had their grace.

        Those whose turn has not come are not-started at once.
        """
        for row in self.book.rows():
            if not row.state.ended and not row.waits.unasked:
                tell(self._fleet, row.site, Cancel(self.job.id))
        self._turns.cancel()
        self.book.cancel(self._clock.monotonic())
        self._cancelled.set()

    def resume(self, rows: "Iterable[KeptRow]", *, begins: bool = True) -> None:
        """Take up, instead of `send`, a job of which these rows were kept; then `fetch`, then `collect`.

        Rows that were not asked, as far as it was written down, are asked when it is their turn: a site that has the
        request all the same knows it by its id, says what became of it and does nothing twice. A time for the whole job
        (`plan.within`) counts from now: whoever resumes it takes off what has passed. Where the time in which sites may
        be waited for is over, nobody is begun. begins: False for who only wants to know how it stands; then nobody is
        asked whose turn has not come.
        """
        self._resumed = True
        now, epoch = self._clock.monotonic(), self._clock.time()
        kept = {row.site: row for row in rows if row.site in self.book}
        begun = tuple(name for name in self.book.names if name in kept and kept[name].asked)
        self._turns.rollout = Rollout(self.job.plan, self.job.names, _online(self._fleet, self.job), now, begun)
        if not begins:
            self._turns.rollout.stop("nobody is begun by a look")
        for row in kept.values():
            self.book.restore(restored(row, now, epoch), now)
            if row.word:
                self.words[row.site] = Word(row.word)
            if row.bodies:
                self._turns.bodies.setdefault(row.site, set()).update(row.bodies)
        for name in self.book.names:
            if name not in self._fleet.sites:
                self.book.offline(name, now, GONE)
        until = self.job.queue_until
        if begins and until is not None and epoch >= until:  # while nobody was there: what is over is not begun now
            for name in self.later:
                self.book.expire(name, now)

    async def fetch(self) -> None:
        """Ask the sites what became of it that have not reported an end; until each has answered or had its time."""
        self._absent.fetch([row.site for row in self.book.rows() if may_be_amended(row)])
        await self.until(lambda: self._absent.inquiry.until is None)

    def sent_to(self, site: str) -> tuple[str, ...]:
        """Digests of the bodies in which this site was asked, for who takes the job up again."""
        return tuple(sorted(self._turns.bodies.get(site, ())))

    # What comes back

    def _settled(self) -> bool:
        return self.book.closed or (bool(self.asking) and self.book.under_way == self.book.asking_back)

    async def _next(self) -> None:
        """Wait for the next letter, a signature, the wish to cancel, or the time at which something is due."""
        due, signing = self._next_due(), self._turns.envelopes.task
        waiting: set[asyncio.Future[Any]] = {
            asyncio.ensure_future(self._letters.get()),
            asyncio.ensure_future(self._cancelled.wait()),
        }
        if due is not None:
            waiting.add(asyncio.ensure_future(self._clock.sleep(max(0.0, due - self._clock.monotonic()))))
        try:
            done, _ = await asyncio.wait(
                waiting if signing is None else {*waiting, signing}, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for one in waiting:
                one.cancel()
        self._cancelled.clear()
        if self._listening is not None:
            self._listening.keep(self.book, self._clock.monotonic())
        for one in done & waiting:
            letter = one.result()
            if isinstance(letter, Letter):
                self._enter(letter)
        while not self._letters.empty():
            self._enter(self._letters.get_nowait())
        self._goes_on(signing in done)
        self.book.tick(self._clock.monotonic())

    def _goes_on(self, is_signed: bool) -> None:
        """What follows from what came and from the time."""
        now = self._clock.monotonic()
        if is_signed:
            self._turns.signed()
        self._turns.remind()
        self.book.tick(now)
        self._absent.inquiry.tick(now)
        if self._absent.look_at is not None and now >= self._absent.look_at:
            self._absent.look(now)
        self._turns.begin_more()
        if self.book.asking_back < len(self.asking):
            self.asking = {name: word for name, word in self.asking.items() if self.book[name].waits is Wait.word}

    def _next_due(self) -> float | None:
        dues = (self.book.next_due(), self._turns.next_due(), self._absent.next_look(), self._absent.inquiry.until)
        return min((due for due in dues if due is not None), default=None)

    def _enter(self, letter: Letter) -> None:
        word = self._proven(letter) if letter.word is Word.signed else letter.word
        if word is not None:
            self._write(letter, word)

    def _proven(self, letter: Letter) -> Word | None:
        """What the site's own signature proves here. None: nothing of it is read, and it is no lie.

        An end is what became of our line only where the signature names a body in which it was asked: a server could
        have had the site do something else under its id. Of the id alone a site tells that is of an earlier version,
        or was not asked in a payload; and where nobody kept what was sent, nobody can tell more.
        """
        site, inquiry, sent = letter.site, self._absent.inquiry, self._turns.bodies.get(letter.site, ())
        if letter.asked in sent:
            return Word.signed
        is_of_fetch = letter.asked == digest(body_of(Fetch(self.job.id)))
        if inquiry.has_asked(site) and (is_of_fetch or not sent):
            return Word.signed if is_of_fetch and inquiry.is_unknown(site, letter.payload) else Word.by_id
        # It may well answer what another console of ours has asked about this job. What a console is not there for any
        # more goes to those that are (RFC 6121, 8.5.3.2.1). Here it cannot be told from an answer to another line under
        # this id. The site answers us, too.
        return None if self._resumed or is_of_fetch else Word.other

    def _write(self, letter: Letter, word: Word) -> None:
        """Write one letter into the book."""
        book, site, before = self.book, letter.site, self.words.get(letter.site)
        payload = None if word is Word.other else letter.payload
        if word and site in book and before not in (Word.forged, Word.other):
            self.words[site] = word
        if payload is None:
            if not word:  # forged, or said of something else: it must not be read
                self._absent.moved(letter)
            return
        self._absent.inquiry.heard(site, letter.at)
        if isinstance(payload, Accepted):
            book.accepted(site, letter.at)
        elif isinstance(payload, Progress):
            book.progress(site, letter.at, payload.text, payload.fraction)
        elif isinstance(payload, NeedsWord) and site in book and self._may_ask_back(site, payload):
            self.asking[site] = payload
            book.hold(site, letter.at)
        elif isinstance(payload, Output | Chunk) and site in book and not book[site].waits.unasked:
            self._hears(letter, payload)
        elif isinstance(payload, Ended):
            self.asking.pop(site, None)
            if self._listening is not None:
                self._listening.ended(site)
            if self._absent.inquiry.is_unknown(site, payload):
                self._absent.unknown(site, letter.at)
            else:
                book.ended(outcome_of(site, payload), letter.at)
            if word is Word.signed and before in (Word.unsigned, Word.by_id) and not self._stands(site, payload):
                self.words[site] = before

    def _stands(self, site: str, payload: Ended) -> bool:
        """Whether the row says just this. What is signed and changes nothing proves nothing of what stands there."""
        return self.book[site].outcome == outcome_of(site, payload)

    def _hears(self, letter: Letter, part: Output | Chunk) -> None:
        """A part of a long output, or of what a session says."""
        if self.book[letter.site].state is not State.accepted:  # no row is written anew for each line of a log
            self.book.progress(letter.site, letter.at)
        if isinstance(part, Chunk):
            self.more(letter.site, part)
            return
        if self.on_output is None:
            return
        if self._listening is None:
            from amon.runtime.listening import Listening

            say = partial(tell, self._fleet)
            self._listening = Listening(self.job.id, say, self.on_output, self._letters.read, self._clock)
        self._listening.came(letter, part)
        self._listening.keep(self.book, letter.at)

    def close(self) -> None:
        """What runs beside it ends with it."""
        if self._listening is not None:
            self._listening.close()

    def _may_ask_back(self, site: str, payload: NeedsWord) -> bool:
        """A site cannot ask for ever: once for a yes, once for a signature; and not before it was asked itself."""
        sent = self._turns.sent.get(site)
        if sent is None or self.book[site].waits.unasked:
            return False
        return not sent.confirmed or (payload.signature and not sent.sealed)


def _online(fleet: Fleet, job: Job) -> frozenset[str]:
    """Who is there, where it matters."""
    sites = fleet.sites
    return frozenset(name for name in job.names if job.plan.canary and name in sites and sites[name].online)


@contextlib.contextmanager
def gathering(
    fleet: Fleet, room: str | None, job: Job, clock: Clock, seal: Seal | None = None, sign: bool = False
) -> Iterator[Gathering]:
    """The mailbox of the job is open while the block lasts.

    seal: signs the job for some of its sites when it is their turn (`Session.signed`); without it, what `job.sealed`
    has is sent, however old. sign: from the first message on, also where `job.sealed` is empty.
    """
    envelopes = Envelopes(seal, sign)
    with fleet.mail(job.id) as letters:
        under_way = Gathering(fleet, room, job, clock, letters, envelopes)
        try:
            yield under_way
        finally:
            under_way.close()
            envelopes.close()
