"""The second person: where the policy wants two, a request waits here until another one says yes to it.

The first person tells the second a short word, by which the site shows what waits; the yes itself is a long one that
stands for exactly that. Else the first could show one request and have the yes for another, whose id he made so that
its word is the same; and a signature under the yes would be under nothing but those three letters.
Nothing is journalled as begun and nothing runs meanwhile; an agent that ends forgets it, and nothing was done.
"""

import asyncio
from dataclasses import dataclass, field

from amon.access import Wanted
from amon.clock import Clock
from amon.errors import Refused
from amon.ids import code, digest
from amon.runtime.incoming import Incoming
from amon.runtime.work import Work
from amon.text import nearest
from amon.words import Asker

APPROVE_WITHIN = 600.0  # seconds
_MOST, _MOST_OF_ONE = 32, 8  # requests that wait at once, of all and of one person


@dataclass(slots=True)
class _Waiting:
    """One request that waits. shown: as it may be read. `second` gets the person who said yes."""

    incoming: Incoming
    wanted: Wanted
    name: str
    shown: str
    second: "asyncio.Future[Asker]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def whole(self) -> str:
        """What the second person says: the same at every site that has this request, and for no other request."""
        incoming, wanted = self.incoming, self.wanted
        values = [part for name, given in wanted.args.items() for part in (name, str(len(given)), *given)]
        return digest(incoming.id, incoming.asker.jid, wanted.instance, wanted.command, *values)


class Seconds:
    """By the word one has to type, which is the same at every site that has the request."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[str, _Waiting] = {}

    async def wait(self, incoming: Incoming, wanted: Wanted, shown: str, work: Work) -> Asker | None:
        """Who said yes; None if nobody did in time, or it is not wanted any more. `Refused` where too many wait."""
        word = code(incoming.id)
        his = sum(one.incoming.asker.jid == incoming.asker.jid for one in self._waiting.values())
        if word in self._waiting or len(self._waiting) >= _MOST or his >= _MOST_OF_ONE:
            raise Refused("too many requests wait for a second person here; ask again later")
        one = self._waiting[word] = _Waiting(incoming, wanted, work.name, shown)
        minutes = APPROVE_WITHIN / 60
        work.audience.progress(f"waits {minutes:g} min for a second person, who says: approve {word}", None)
        unwanted = asyncio.ensure_future(work.stopped.wait())
        late = asyncio.ensure_future(self._clock.sleep(APPROVE_WITHIN))
        try:
            with work.reminding():
                await asyncio.wait((one.second, unwanted, late), return_when=asyncio.FIRST_COMPLETED)
            return one.second.result() if one.second.done() and not work.stopped.is_set() else None
        finally:
            unwanted.cancel()
            late.cancel()
            del self._waiting[word]

    def approve(self, approver: Incoming, word: str, now: float) -> str:
        """Let the request go on; says in words what. `Refused` for whoever may not, or may not alone.

        To the short word it says what waits, and what the yes to that is.
        """
        word = word.upper()
        one = self._waiting.get(word) or next((one for one in self._waiting.values() if one.whole == word), None)
        if one is None or one.incoming.door is not approver.door or one.second.done():
            near = nearest(word.lower(), [known.lower() for known in self._waiting])[:1]
            hint = f"; did you mean {near[0].upper()}?" if near else ""
            raise Refused(f"nothing waits here for `approve {word}`{hint}")
        self._check(one, approver.asker, now)
        if word != one.whole:
            signed = ", signed" if one.incoming.door.authority.needs_signature(one.wanted) else ""
            asked = f"{one.incoming.asker.jid} asks for `{one.shown}`"
            raise Refused(f"{word} is not done yet: {asked}; to let just that go on{signed}: approve {one.whole}")
        self._check_signature(one, approver.asker)
        one.second.set_result(approver.asker)
        return f"{one.name}, asked for by {one.incoming.asker.jid}, goes on"

    def _check(self, one: _Waiting, person: Asker, now: float) -> None:
        first, authority = one.incoming.asker, one.incoming.door.authority
        if person.jid == first.jid:
            raise Refused("a second person has to say yes, and you are the first")
        decision = authority.decide(person, one.wanted, now)
        if not decision.allowed:
            raise Refused(decision.reason)

    def _check_signature(self, one: _Waiting, person: Asker) -> None:
        first, authority = one.incoming.asker, one.incoming.door.authority
        if authority.needs_signature(one.wanted) and not person.key:
            raise Refused("this needs a signature, and the second person's too: amon run --sign SITE approve CODE")
        if first.key and person.key == first.key:
            raise Refused("it was signed with the same key as the request; the second person needs a key of his own")
