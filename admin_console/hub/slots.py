"""Who holds which slot: leases of a minute to jobs of consoles, all of a name together never more than it has. Pure.

A wish says the whole state of its job, so a lost or doubled message does no harm, and what is not named any more is
free. What a job says it holds is always counted, for its sites are at work: after a hub that lost its memory too many
may be so, and then nobody gets one until they are few enough. Where two jobs name different numbers the smaller counts.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from amon.wire import SlotLease, SlotWish

LEASE = 60.0  # seconds; a console renews it four times in that
_MOST_JOBS = 200
_MOST_OF_ONE = 20  # jobs of one person

Key = tuple[str, str]  # bare address of the asker, id of his wish


@dataclass(slots=True)
class _Job:
    """One job as it wished last. reply_to: full address. since, until: epoch seconds."""

    name: str
    reply_to: str
    of: int
    since: float
    until: float
    held: dict[str, None] = field(default_factory=dict)
    wants: tuple[str, ...] = ()


class SlotBook:
    """All slots of a fleet. Times are epoch seconds, so that a book can be kept over a restart."""

    def __init__(self) -> None:
        self._jobs: dict[Key, _Job] = {}

    def wish(self, asker: str, reply_to: str, wish: SlotWish, now: float) -> list[tuple[str, SlotLease]]:
        """The leases to be told, each with its full address: that of the job itself, and those it made possible."""
        told = dict(self.expire(now))
        job = self._jobs.get((asker, wish.id))
        if job is None or job.name != wish.name:
            why = self._why_not(asker)
            if why:
                return [*told.items(), (reply_to, SlotLease(wish.id, wish.name, refused=why))]
            job = self._jobs[asker, wish.id] = _Job(wish.name, reply_to, wish.of, now, now)
        job.reply_to, job.of, job.until = reply_to, wish.of, now + LEASE
        # What it wants and was lent already is a lease that is still under way to it.
        lent = [site for site in wish.wants if site in job.held]
        job.held = dict.fromkeys([*wish.held, *lent])
        job.wants = tuple(site for site in wish.wants if site not in job.held)
        changed = {key for key in self._grant(wish.name) if key != (asker, wish.id)}
        told |= {self._jobs[key].reply_to: self._lease(key, now) for key in changed}
        told[reply_to] = self._lease((asker, wish.id), now)
        if not job.held and not job.wants:
            del self._jobs[asker, wish.id]
        return list(told.items())

    def expire(self, now: float) -> list[tuple[str, SlotLease]]:
        """End the leases of consoles that are not heard of any more; what others got by that."""
        late = [key for key, job in self._jobs.items() if job.until <= now]
        names = {self._jobs.pop(key).name for key in late}
        changed = [key for name in names for key in self._grant(name)]
        return [(self._jobs[key].reply_to, self._lease(key, now)) for key in changed]

    def lines(self) -> list[str]:
        """Who holds and who waits, a line for each name and person."""
        return [
            f"{job.name}: {', '.join(job.held) or 'none'} of {self._capacity(job.name)} for {asker}"
            + (f", {len(job.wants)} waiting" if job.wants else "")
            for (asker, _), job in self._jobs.items()
        ]

    # Over a restart

    def data(self) -> list[dict[str, Any]]:
        return [
            {"asker": asker, "id": ident, "name": job.name, "to": job.reply_to, "of": job.of, "since": job.since,
             "until": job.until, "held": list(job.held)}
            for (asker, ident), job in self._jobs.items() if job.held
        ]  # fmt: skip

    def recall(self, data: Iterable[Any]) -> None:
        """What `data` gave; whatever is no such thing is left out."""
        for one in data:
            try:
                held = dict.fromkeys(str(site) for site in one["held"])
                name, to, of = str(one["name"]), str(one["to"]), int(one["of"])
                job = _Job(name, to, of, float(one["since"]), float(one["until"]), held)
                self._jobs[str(one["asker"]), str(one["id"])] = job
            except (KeyError, TypeError, ValueError):
                continue

    # The rule

    def _why_not(self, asker: str) -> str:
        if len(self._jobs) >= _MOST_JOBS:
            return f"{_MOST_JOBS} jobs hold or want slots already; ask again later"
        if sum(one == asker for one, _ in self._jobs) >= _MOST_OF_ONE:
            return f"{_MOST_OF_ONE} jobs of {asker} hold or want slots already; ask again when one has ended"
        return ""

    def _of(self, name: str) -> Iterator[tuple[Key, _Job]]:
        return ((key, job) for key, job in self._jobs.items() if job.name == name)

    def _capacity(self, name: str) -> int:
        return min((job.of for _, job in self._of(name)), default=0)

    def _grant(self, name: str) -> list[Key]:
        """Lend what is free, each time to the job that has least; among equals to the one that waits longest."""
        changed: dict[Key, None] = {}
        free = self._capacity(name) - sum(len(job.held) for _, job in self._of(name))
        while free > 0 and (waiting := [(key, job) for key, job in self._of(name) if job.wants]):
            key, job = min(waiting, key=lambda one: (len(one[1].held), one[1].since))
            job.held[job.wants[0]] = None
            job.wants = job.wants[1:]
            changed[key] = None
            free -= 1
        return list(changed)

    def _lease(self, key: Key, now: float) -> SlotLease:
        job = self._jobs[key]
        before = sum(len(other.wants) for rival, other in self._of(job.name) if rival != key and job.wants)
        return SlotLease(key[1], job.name, tuple(job.held), max(0.0, job.until - now), before)
