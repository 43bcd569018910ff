"""The second person: where the policy wants two, a request waits here until another one says yes to it.

Nothing is journalled as begun and nothing runs meanwhile; an agent that ends forgets it, and nothing was done.
"""

import asyncio
from dataclasses import dataclass, field

from amon.access import Wanted
from amon.clock import Clock
from amon.errors import Refused
from amon.ids import code
from amon.runtime.incoming import Incoming
from amon.runtime.work import Work
from amon.text import nearest
from amon.words import Asker

APPROVE_WITHIN = 600.0  # seconds
_MOST = 32  # requests that wait at once


@dataclass(slots=True)
class _Waiting:
    """One request that waits. `second` gets the person who said yes."""

    incoming: Incoming
    wanted: Wanted
    name: str
    second: "asyncio.Future[Asker]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Seconds:
    """By the word one has to type, which is the same at every site that has the request."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[str, _Waiting] = {}

    async def wait(self, incoming: Incoming, wanted: Wanted, work: Work) -> Asker | None:
        """Who said yes; None if nobody did in time, or it is not wanted any more. `Refused` where too many wait."""
        word = code(incoming.id)
        if word in self._waiting or len(self._waiting) >= _MOST:
            raise Refused("too many requests wait for a second person here; ask again later")
        one = self._waiting[word] = _Waiting(incoming, wanted, work.name)
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
        """Let the request go on; says in words what. `Refused` for whoever may not, or may not alone."""
        one = self._waiting.get(word.upper())
        if one is None or one.incoming.door is not approver.door or one.second.done():
            near = nearest(word.lower(), [known.lower() for known in self._waiting])[:1]
            hint = f"; did you mean {near[0].upper()}?" if near else ""
            raise Refused(f"nothing waits here for `approve {word.upper()}`{hint}")
        self._check(one, approver.asker, now)
        one.second.set_result(approver.asker)
        return f"{one.name}, asked for by {one.incoming.asker.jid}, goes on"

    def _check(self, one: _Waiting, person: Asker, now: float) -> None:
        first, authority = one.incoming.asker, one.incoming.door.authority
        if person.jid == first.jid:
            raise Refused("a second person has to say yes, and you are the first")
        decision = authority.decide(person, one.wanted, now)
        if not decision.allowed:
            raise Refused(decision.reason)
        if authority.needs_signature(one.wanted) and not person.key:
            raise Refused("this needs a signature, and the second person's too: amon run --sign SITE approve CODE")
        if first.key and person.key == first.key:
            raise Refused("it was signed with the same key as the request; the second person needs a key of his own")
