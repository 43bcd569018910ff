"""The console's side of slots: a gate before each site of a job, whose capacity the whole fleet and all consoles share.

For whoever begins sites one after the other (a `Run`, a rollout):

    slots = Slots(fleet, room, "hub@example.org", "db-upgrade", 2, clock)
    async with slots.lent():                # the hub hears of us until the block ends; then all is given back
        slots.watch = stir                  # called whenever `held` has changed
        slots.want(names)                   # who wants to begin, in order; others than before take their place
        may_begin = slots.held              # those that may begin now: ask them
        slots.release(name)                 # its call has ended, however it ended
        await slots.acquire(name)           # or, for one alone: waits for its slot; `Failed` if there is none to be had

What is lent is a lease of a minute, renewed while the block lasts. A console that dies gives its slots back by that.
The hub does not know what a site does, so a slot whose console was cut off for a minute may be lent again while that
site is still at it; `trouble` then says so.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from amon.clock import Clock
from amon.errors import Failed, Refused
from amon.ids import new_id
from amon.runtime.fleet import Fleet
from amon.runtime.gathered import hub_in
from amon.runtime.mailbox import Letter
from amon.tasks import wait_event
from amon.wire import SlotLease, SlotWish, encode

RENEW_EVERY = 15.0  # seconds
_ANSWERS_WITHIN = 10.0  # seconds; a hub that is there answers at once


def parse_slots(text: str) -> tuple[str, int]:
    """`db-upgrade=2` as name and number; `Refused` for anything else."""
    name, _, number = text.partition("=")
    fits = name and len(name) <= 64 and name[0].isalnum() and all(one.isalnum() or one in "_.-" for one in name)
    if not fits or not name.isascii() or name != name.lower() or not (number.isascii() and number.isdigit()):
        raise Refused(f"{text!r} is no slot: write NAME=NUMBER, such as db-upgrade=2")
    if not 1 <= int(number[:5]) <= 256:
        raise Refused(f"{text!r}: there are 1 to 256 slots of a name")
    return name, int(number)


class Slots:
    """Slots of one name for one job. hub: bare address of the hub. room: of the fleet, where it is looked for.

    held: the sites that have one, in the order they got it. trouble: why no more come, in words; empty if all is well.
    refused: why this job gets none at all.
    """

    def __init__(self, fleet: Fleet, room: str, hub: str, name: str, of: int, clock: Clock) -> None:
        self.held: tuple[str, ...] = ()
        self.trouble = self.refused = ""
        self.watch: Callable[[], None] = lambda: None
        self._fleet, self._room, self._hub, self._clock = fleet, room, hub.lower(), clock
        self._name, self._of = name, of
        self._id = new_id(clock.time())
        self._wants: list[str] = []
        self._stir = asyncio.Event()
        self._changed = asyncio.Event()
        self._said_at: float | None = None  # when the wish was sent that has had no answer yet

    @contextlib.asynccontextmanager
    async def lent(self) -> AsyncIterator["Slots"]:
        """While the block lasts wishes are sent and leases renewed; all is given back at its end."""
        with self._fleet.mail(self._id) as letters:
            tasks = [asyncio.create_task(self._ask()), asyncio.create_task(self._listen(letters))]
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                self.held, self._wants = (), []
                self._say()

    def want(self, sites: Iterable[str]) -> None:
        """These want a slot, in this order, besides those that hold one."""
        wants = [site for site in dict.fromkeys(sites) if site not in self.held]
        if wants != self._wants:
            self._wants = wants
            self._stir.set()

    def hold(self, sites: Iterable[str]) -> None:
        """These are at work, whoever began them: the hub counts them, and they are released like others."""
        self.held = tuple(dict.fromkeys((*self.held, *sites)))
        self._stir.set()

    def release(self, site: str) -> None:
        """Give the slot of this site back, or its wish for one."""
        if site in self.held or site in self._wants:
            self.held = tuple(one for one in self.held if one != site)
            self._wants = [one for one in self._wants if one != site]
            self._stir.set()

    async def acquire(self, site: str) -> None:
        """Until this site has its slot. `Failed` if the hub lends none, or is not there to be asked."""
        if site not in self._wants and site not in self.held:
            self.want([*self._wants, site])
        while site not in self.held:
            if self.refused or (self.trouble and not self.held):
                raise Failed(self.refused or self.trouble)
            self._changed.clear()
            await self._changed.wait()

    # What is said and heard

    async def _ask(self) -> None:
        while True:
            self._stir.clear()
            if self._wants or self.held or self._said_at is not None:
                self._say()
            waiting = RENEW_EVERY if self._said_at is None else _ANSWERS_WITHIN
            await wait_event(self._stir, self._clock, waiting)
            if self._said_at is not None and self._clock.monotonic() - self._said_at >= _ANSWERS_WITHIN:
                self._tell(f"{self._hub} does not answer, so no slot of {self._name} can be had; next: look at the hub")

    def _say(self) -> None:
        """The whole state; said again it changes nothing."""
        to = hub_in(self._fleet.connection.occupants(self._room), self._hub)
        wish = SlotWish(self._id, self._name, self._of, self.held[:256], tuple(self._wants[: self._of]))
        if to is None or not self._fleet.connection.send_payload(to, encode(wish), id=f"{self._id}-slots"):
            self._tell(
                f"{self._hub} is not in {self._room}, so no slot of {self._name} can be had; next: start the hub"
            )
        elif self._said_at is None:
            self._said_at = self._clock.monotonic()

    async def _listen(self, letters: "asyncio.Queue[Letter]") -> None:
        while True:
            letter = await letters.get()
            lease = letter.payload
            if letter.site == self._hub and isinstance(lease, SlotLease) and lease.name == self._name:
                self._heard(lease)

    def _heard(self, lease: SlotLease) -> None:
        self._said_at, self.refused = None, lease.refused
        got = [site for site in lease.sites if site in self._wants][: self._of]
        self._wants = [site for site in self._wants if site not in got]
        self.held = (*self.held, *got)
        lost = [site for site in self.held if site not in lease.sites]
        self._tell(lease.refused or _lost(lost, self._name))
        if got:
            self._stir.set()  # so that the hub knows that we know

    def _tell(self, trouble: str) -> None:
        self.trouble = trouble
        self._changed.set()
        self.watch()


def _lost(sites: Sequence[str], name: str) -> str:
    return f"the hub lent the slot {name} of {', '.join(sites[:3])} to others meanwhile" if sites else ""
