"""Policies of the whole fleet, as they arrive: whoever brings one, the organisation's signature decides.

So an admin, a console of a colleague or a cron job can bring it, and a server on the way can only hold it back.
"""

from collections.abc import Callable

from amon.access import Decision, Quota
from amon.clock import Clock
from amon.errors import Failed, Refused
from amon.runtime.dispatch import Dispatch
from amon.runtime.incoming import Door, Incoming
from amon.text import visible
from amon.wire import Ended, NewPolicy
from amon.words import Asker, State

_MOST = (6, 60.0)  # that many of one person, or of all strangers, in so many seconds are looked at

Accept = Callable[[bytes, str], str]
"""Text and signature -> what was taken over, in words. `Refused` or `Failed` says why not; nothing has changed then."""


class PolicyFront:
    """accept: None where no organisation is configured."""

    def __init__(self, door: Door, dispatch: Dispatch, clock: Clock, accept: Accept | None) -> None:
        self._door = door
        self._dispatch = dispatch
        self._clock = clock
        self._accept = accept
        self._quota = Quota(*_MOST)

    async def received(self, new: NewPolicy, asker: Asker) -> Ended:
        """What became of it, which is written into the audit too."""
        if not self._quota.take(self._door.authority.counted_as(asker), self._clock.monotonic()):
            return Ended(new.id, State.refused, "too many policies came from you, or from strangers; wait a minute")
        state, text = self._taken(new)
        rule = "organisation" if state is State.done else "default deny"
        incoming = Incoming(new.id, asker, "", self._door)
        # What was not taken says nothing that one could believe, not even its number.
        shown = visible(text) if state is State.done else "policy ..."
        await self._dispatch.write_down(incoming, shown, Decision(state is State.done, text, rule), state)
        return Ended(new.id, state, visible(text))

    def _taken(self, new: NewPolicy) -> tuple[State, str]:
        if self._accept is None:
            return State.refused, "this site obeys no organisation; `organisation` in its account names the keys of one"
        try:
            return State.done, self._accept(new.text.encode(), new.sig)
        except Refused as refused:
            return State.refused, str(refused)
        except Failed as failed:
            return State.failed, str(failed)
