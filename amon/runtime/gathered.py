"""Lines typed in a room for many sites: what became of them goes to the hub, which says one summary.

The hub is the gatherer that this site's policy names, as long as it is in that room; it has heard the line itself. It
is told what the asker would have been told, and says for what it has told him (`Gathered`). Whatever it does not say
that of is said by the site itself, as if there were no hub: when it leaves the room, when what it is told comes back,
when it knows nothing of the line, and when it is silent for too long. So nothing is lost with it; at worst the asker
hears some of it twice. A hub that came back under a new address is told again, for it may have kept its books.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from amon.clock import Clock
from amon.ids import digest
from amon.runtime.incoming import Incoming, Output
from amon.runtime.spoken import Spoken
from amon.tasks import wait_event
from amon.wire import Accepted, Ended, Gathered, NeedsWord, Payload
from amon.words import Effect
from amon.xmpp.room import Occupant

HUB_RESOURCE = "hub"  # how the resource of a hub's session begins; a console of the same account is none
ASKING = "needs-word"  # the state of a part that waits for a yes
_ACCEPT_AFTER = 0.1  # seconds: a call that ends sooner needs no acceptance, its outcome is one
_LOOK_EVERY = 3.0  # seconds between two looks whether the hub is still there
_MOST = 64  # lines that are waited for at once; others the site answers itself
_TOLD_WITHIN = 45.0  # seconds; the hub's book of a typed line closes after 32

Where = Callable[[str], str | None]
"""The full address of this account's gatherer in a room; None while it is not there."""
Send = Callable[[str, Payload, str], bool]
"""To whom, what, and the digest of what it answers -> whether it went out."""


def hub_in(occupants: Iterable[Occupant], jid: str) -> str | None:
    """The full address of the hub `jid` among those in a room; None while it is not there.

    The last that came: one that was killed may seem to be there for a minute beside the next.
    """
    for one in reversed(tuple(occupants)):
        if one.jid == jid and one.full is not None and one.full.partition("/")[2].startswith(HUB_RESOURCE):
            return one.full
    return None


class Gatherer:
    """The lines of one account that its hub is told of and has not said on."""

    def __init__(self, where: Where, send: Send, clock: Clock) -> None:
        self.where = where
        self.send = send
        self.clock = clock
        self._lines: dict[str, Telling] = {}
        self._rooms: dict[str, str] = {}  # where lines were said that wait for a yes

    def replies(self, incoming: Incoming, spoken: Spoken) -> "Telling | None":
        """For a line that was typed for many; None where no hub is there for it. spoken: what the site says itself.

        Who says his yes to one site alone hears its end from there; the hub hears of it for its book.
        """
        known = self._lines.pop(incoming.id, None)
        if known is not None:  # the same line again, or the yes to it: its question was seen
            known.end()
        room = incoming.asker.room or self._rooms.get(incoming.id)
        to = self.where(room) if room and len(self._lines) < _MOST else None
        if not room or not to:
            return None
        return Telling(self, incoming, room, to, spoken, aside=incoming.asker.room is None)

    def heard(self, sender: str, word: Gathered) -> None:
        """What the hub said. sender: full address; only who was told can have said it on."""
        line = self._lines.get(word.id)
        if line is not None and line.to == sender:
            line.said_on(word)

    def bounced(self, to: str, ident: str) -> None:
        line = self._lines.get(ident)
        if line is not None and line.to == to:
            line.speak()

    def begin(self, line: "Telling") -> None:
        self._lines[line.id] = line

    def asking(self, line: "Telling") -> None:
        self._rooms[line.id] = line.room
        while len(self._rooms) > _MOST:
            del self._rooms[next(iter(self._rooms))]

    def forget(self, line: "Telling") -> None:
        if self._lines.get(line.id) is line:
            del self._lines[line.id]


class Telling:
    """The `Replies` of one such line. to: the hub's full address; None once the site speaks for itself.

    aside: the site says it in any case, and the hub only hears of it.
    """

    def __init__(
        self, gatherer: Gatherer, incoming: Incoming, room: str, to: str, spoken: Spoken, *, aside: bool
    ) -> None:
        self.id = incoming.id
        self.room = room
        self.to: str | None = to
        self._asked = digest(incoming.id, incoming.line)
        self._gatherer = gatherer
        self._spoken = spoken
        # By state: when the hub was told, what, and how the site says it itself.
        self._waiting: dict[str, tuple[float, Payload, Callable[[], None]]] = {}
        self._accepted_at: float | None = None
        self._stir = asyncio.Event()
        self._over = self._is_done = False
        self._aside = aside
        gatherer.begin(self)

    # What becomes of it

    def accepted(self, what: str) -> None:
        self._spoken.accepted(what)
        self._accepted_at = self._gatherer.clock.monotonic()
        self._stir.set()

    def progress(self, text: str, fraction: float | None) -> None:
        self._spoken.progress(text, fraction)

    def needs_word(self, effect: Effect, plan: str, signature: bool) -> None:
        self._gatherer.asking(self)
        text = self._spoken.asks_back(effect, plan, signature)
        self._tell(ASKING, NeedsWord(self.id, effect, plan, signature), lambda: self._spoken.say(text))

    def output(self, session: Output) -> None:
        self._spoken.output(session)

    def ended(self, outcome: Ended) -> None:
        self._accepted_at = None
        self._tell(outcome.state, outcome, lambda: self._spoken.ended(outcome))

    @asynccontextmanager
    async def patience(self) -> AsyncIterator[None]:
        """Until the hub has said on what it was told, or the site has said it itself."""
        watching = asyncio.create_task(self._watch(), name=f"gathering of {self.id}")
        try:
            yield
            self._over = True
            self._stir.set()
            await watching
        finally:
            watching.cancel()
            self._gatherer.forget(self)

    # What the hub makes of it

    def said_on(self, word: Gathered) -> None:
        if not word.told:
            self.speak()
        elif word.state:
            self._waiting.pop(word.state, None)
        else:
            self._waiting.clear()
        self._stir.set()

    def speak(self) -> None:
        """The hub will not: say what it was told, and from now on everything."""
        self.to = None
        waiting, self._waiting = list(self._waiting.values()), {}
        for _, _, say in waiting:
            say()
        self._stir.set()

    def end(self) -> None:
        """Another message goes on with it, and hears its end."""
        self._is_done = True
        self._waiting.clear()
        self._stir.set()

    def _tell(self, state: str, payload: Payload, say: Callable[[], None]) -> None:
        if self._is_done:
            return
        if self._aside or self.to is None:
            say()
            if self.to is not None:
                self._gatherer.send(self.to, payload, self._asked)
            return
        self._waiting[state] = (self._gatherer.clock.monotonic(), payload, say)
        if not self._gatherer.send(self.to, payload, self._asked):
            self.speak()

    async def _watch(self) -> None:
        while not self._over or self._waiting:
            self._stir.clear()
            self._look()
            if self._over and not self._waiting:
                return
            wait = _LOOK_EVERY if self._accepted_at is None else _ACCEPT_AFTER
            await wait_event(self._stir, self._gatherer.clock, wait)

    def _look(self) -> None:
        if self.to is None:
            return
        now, there = self._gatherer.clock.monotonic(), self._gatherer.where(self.room)
        if there is None or any(now - since >= _TOLD_WITHIN for since, _, _ in self._waiting.values()):
            self.speak()
            return
        if self._accepted_at is not None and now - self._accepted_at >= _ACCEPT_AFTER:
            self._accepted_at = None
            self._gatherer.send(there, Accepted(self.id), self._asked)
        if there != self.to:
            self.to = there
            for _, payload, _ in list(self._waiting.values()):
                self._gatherer.send(there, payload, self._asked)
