"""The jobs of all clients: their lists are made ready aside, begin, change and end here.

A job is what a client calls by its number. Each list it gives is an `Edition` with rows of its own in `Targets` and in
the table's counts, so that results of an old list are still told apart while a new one is probed already. What takes
long for long lists (judging, ordering) is done in a thread: numpy lets go of the interpreter there.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from amon.engine.desk.connection import Client
from amon.engine.messages import Denied, JobId, Spec, State, Tally
from amon.engine.shapes import I64, U8, U32, U64, Bools
from amon.engine.turn.events import Events
from amon.engine.turn.schedule import SECOND, Schedule

ROWS_SHOWN = 1000
"""Denied targets whose places are told."""
PIECE = 1 << 20
"""Bytes of a list next to each other: to move 64 MiB that grow takes 20 ms."""
FRAME_MORE = 14 + 40 + 8
"""Bytes of a frame around the payload, at most."""
LATECOMER = "may be probed only since this job began, and is not in its rounds; next: begin another"


Addresses = list[bytearray]
"""16 bytes each, in pieces that are all of size `PIECE` but the last."""


@dataclass(slots=True, eq=False)
class List:
    """A list of targets, judged and put in order. high, low: all of them, denied ones too, by place in the list.

    order: places of those that may be probed, in the order of probing. allowed: whether it may be, by place.
    """

    addresses: Addresses
    high: U64
    low: U64
    order: U32
    allowed: Bools
    denied: tuple[Denied, ...]


_NEVER = 1 << 62


class Edition:
    """One list of a job that is probed, or waits for the last answers. row: in the table's counts.

    base: its first row in `Targets`. timeout: ns. packet: what its probes look like, as the crafters count them.
    """

    def __init__(self, job: "Job", targets: List, row: int, base: int, packet: int, schedule: Schedule) -> None:
        self.job, self.list, self.row, self.base, self.packet, self.schedule = job, targets, row, base, packet, schedule
        self.spec = schedule.spec
        self._began = targets.allowed
        self.number = job.editions
        self.timeout = round(self.spec.timeout * SECOND)
        self.size = self.spec.size + FRAME_MORE
        """Bytes of a frame, at most."""
        self.resolved = 0
        """Places from here on have no next hop yet."""
        self.hops: set[int] = set()
        """All that its rows in `Targets` name."""
        self.wait_until = 0
        """Until then its next hops may answer before it is probed; 0: they are not asked for yet."""
        self.scheduled = self.skipped = 0
        self.next_due = _NEVER
        self.look()

    @property
    def count(self) -> int:
        return len(self.list.high)

    @property
    def tenant(self) -> str:
        return self.job.client.tenant

    @property
    def is_resolved(self) -> bool:
        return self.resolved >= self.count

    @property
    def probed(self) -> Bools:
        """By place in the list."""
        return self._began & self.list.allowed

    @property
    def denied(self) -> tuple[Denied, ...]:
        late = np.flatnonzero(self.list.allowed & ~self._began)
        more = [Denied(LATECOMER, len(late), tuple(late[:ROWS_SHOWN].tolist()))] if len(late) else []
        return (*self.list.denied, *more)

    def judged(self, targets: List) -> bool:
        """This list was judged anew: its rounds go on with what may still be probed of it, if anything may."""
        probed = self._began & targets.allowed
        if not (count := int(np.count_nonzero(probed))):
            return False
        self.list = targets
        self.schedule.keep(probed, count / int(np.count_nonzero(self._began)))
        self.look()
        return True

    def take(self, until: int, most: int) -> Events:
        events = self.schedule.take(until, most)
        self.scheduled += len(events)
        self.look()
        return events

    def skip(self, before: int) -> None:
        """Pass over what is due before, and count it."""
        skipped = self.schedule.skip(before)
        self.scheduled += skipped
        self.skipped += skipped
        self.look()

    def slip(self, until: int) -> None:
        """What was due before is due then, and the rest as much later."""
        if self.next_due < until:
            self.schedule.slip(until - self.next_due)
            self.look()

    def realign(self, now: int, apart: int, by: int, ahead: int) -> None:
        """The wall clock was stepped: what follows it is where it would be by it, without a burst. Where there is an
        end nothing is passed over. apart: realtime minus monotonic now; by: how far; ahead: what is crafted, ns."""
        if self.spec.rounds is None:
            self.skip(now)
            taken = min(self.next_due, now + ahead)
            passed = self.schedule.realign(now, now + apart, taken)
            self.scheduled += passed
            self.skipped += passed
        else:
            self.schedule.wait(by)
        self.look()

    def look(self) -> None:
        due = self.schedule.next_due()
        self.next_due = _NEVER if due is None else due


@dataclass(slots=True)
class Preparing:
    """A list that is made ready aside, to be probed so, or that is put into its rows."""

    addresses: Addresses
    spec: Spec
    future: "Future[List]"


@dataclass(slots=True, eq=False)
class Job:
    client: Client
    ident: JobId
    next_spec: Spec
    """That of the next list."""
    current: Edition | None = None
    """What is probed now; none before the first list is ready, and after the end."""
    ending: list[Edition] = field(default_factory=list)
    """Editions that are not probed any more, but have packets under way."""
    coming: Addresses = field(default_factory=list)
    """What has come of the next list; `Jobs.bring` and `Jobs.fetch` count it."""
    spoiled: bool = False
    """Something of the next list was refused, and so all of it."""
    preparing: Preparing | None = None
    paused: bool = False
    over: bool = False
    """No packet more; `Ended` is said when the last one is accounted for."""
    editions: int = 0
    batches: int = 0
    past: Tally = field(default_factory=Tally)
    """Of editions that are gone."""
    told: State | None = None

    @property
    def all_editions(self) -> Iterator[Edition]:
        yield from self.ending
        if self.current is not None:
            yield self.current


class Jobs:
    """By client and number, and by row of an edition."""

    def __init__(self, rows: int) -> None:
        self._jobs: dict[tuple[int, JobId], Job] = {}
        self._free = list(range(rows - 1, -1, -1))
        self._rows_most = rows // 2
        self.editions: dict[int, Edition] = {}
        """By row."""
        self._rows: dict[str, I64] = {}
        self._probed: dict[int, Edition] = {}
        self._tenants: Counter[str] = Counter()
        self.urgent = 0
        """Editions of jobs on demand: somebody waits for their answers."""
        self._listed = self._coming = 0

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs.values()))

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def targets(self) -> int:
        """Addresses of all jobs, lists that are coming included."""
        return self._listed + self._coming // 16

    def has_room(self, tenant: str) -> bool:
        """For a list more. No tenant may have more than half of them: lists that end count too."""
        return bool(self._free) and len(self.rows_of(tenant)) < self._rows_most

    def of_tenant(self, tenant: str) -> int:
        """How many jobs it has."""
        return self._tenants[tenant]

    def find(self, client: Client, ident: JobId) -> Job | None:
        return self._jobs.get((id(client), ident))

    def of(self, client: Client) -> list[Job]:
        return [job for job in self._jobs.values() if job.client is client]

    def add(self, job: Job) -> None:
        self._jobs[id(job.client), job.ident] = job
        self._tenants[job.client.tenant] += 1

    def bring(self, job: Job, addresses: bytes) -> None:
        """Some more of the next list."""
        self._coming += len(addresses)
        while addresses:
            if not job.coming or len(job.coming[-1]) == PIECE:
                job.coming.append(bytearray())
            room = PIECE - len(job.coming[-1])
            job.coming[-1] += addresses[:room]
            addresses = addresses[room:]

    def fetch(self, job: Job) -> Addresses:
        """What has come of the next list; the one after it is empty."""
        whole, job.coming = job.coming, []
        self._coming -= sum(map(len, whole))
        return whole

    def take_row(self) -> int:
        return self._free.pop()

    def rows_of(self, tenant: str) -> I64:
        """The rows of its editions."""
        if tenant not in self._rows:
            rows = [row for row, edition in self.editions.items() if edition.tenant == tenant]
            self._rows[tenant] = np.array(rows, np.int64)
        return self._rows[tenant]

    def begin(self, edition: Edition) -> None:
        """It is the job's current one now; the one before waits for its last answers."""
        job = edition.job
        self._retire(job)
        job.current = edition
        self._probed[edition.row] = edition
        self.urgent += edition.spec.priority == 0
        job.editions += 1
        self.editions[edition.row] = edition
        self._listed += edition.count
        self._rows = {}

    def stop(self, job: Job) -> None:
        """No packet more of it."""
        job.over = True
        self.fetch(job)
        self._retire(job)

    def _retire(self, job: Job) -> None:
        if job.current is not None:
            del self._probed[job.current.row]
            job.ending.append(job.current)
            job.current = None

    def forget(self, edition: Edition) -> None:
        """Its last packet is accounted for."""
        edition.job.ending.remove(edition)
        del self.editions[edition.row]
        self._listed -= edition.count
        self.urgent -= edition.spec.priority == 0
        self._rows = {}
        self._free.append(edition.row)

    def remove(self, job: Job) -> None:
        if self._jobs.pop((id(job.client), job.ident), None) is not None:
            self.fetch(job)
            self._tenants[job.client.tenant] -= 1

    @property
    def probed(self) -> list[Edition]:
        """What is probed now."""
        return list(self._probed.values())


def denied_in(verdicts: U8, texts: Sequence[str]) -> tuple[Denied, ...]:
    """What of a list is not probed, by reason. verdicts: 0 may be probed; else the place of the reason in `texts`."""
    found = []
    for number, text in enumerate(texts):
        rows = np.flatnonzero(verdicts == number)
        if number and len(rows):
            found.append(Denied(text, len(rows), tuple(rows[:ROWS_SHOWN].tolist())))
    return tuple(found)
