"""A job on its way to its sites. One port with two ways behind it, and the asker does not notice which.

Through the room: one message, however many sites. Direct: one message per site, which bounces where nobody is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from amon.ids import digest
from amon.job import ALL_AT_ONCE, Plan
from amon.runtime.fleet import Fleet
from amon.wire import Cancel, Ended, Fetch, Heard, Request, body_of, encode, unseal
from amon.words import Answer, Column, Outcome, State, Whole

PACK = 200  # names in one request
ROOM_MOST = 100  # sites; beyond, one message each costs no more and needs no room (measured)


@dataclass(frozen=True, slots=True)
class Job:
    """One request to many sites. Times in seconds. sealed: what each site gets, where it is signed (signing.py).

    plan: how it is spread over them. queue_until: until when (epoch seconds) sites that are offline may still get it.
    whole: how many sites the job has where `names` are only a part of them; 0: these are all. probed: the addresses of
    sites that the line names.
    """

    id: str
    line: str
    names: tuple[str, ...]
    deadline: float = 30.0
    accept_by: float = 5.0
    dry_run: bool = False
    confirmed: bool = False
    sealed: Mapping[str, str] = field(default_factory=dict)
    plan: Plan = ALL_AT_ONCE
    queue_until: float | None = None
    whole: int = 0
    probed: Mapping[str, str] = field(default_factory=dict)

    @property
    def sites(self) -> int:
        return self.whole or len(self.names)


def deliver(fleet: Fleet, room: str | None, job: Job) -> tuple[list[str], list[str]]:
    """Send the job on its way. The names it went to through the room; those it could not be sent to: no session.

    Sites that are not seen online get it direct even where there is a room: if they really are not there it comes back
    at once, and that is a fact, where missing presence is a guess.
    """
    by_room = _by_room(fleet, room, job)
    through = [name for name in job.names if by_room and fleet.sites[name].online]
    unsent: list[str] = []
    if through and room is not None:
        body = f"!{job.line} @{','.join(through)}"
        payload = job.sealed.get(through[0]) or encode(request_of(job, through))
        if not fleet.connection.send_payload(room, payload, id=job.id, body=body):
            unsent += through
    reached = frozenset(through)
    unsent += [name for name in job.names if name not in reached and not direct(fleet, job, name)]
    return through, unsent


def direct(fleet: Fleet, job: Job, name: str) -> bool:
    payload = job.sealed.get(name) or encode(request_of(job, (name,)))
    return fleet.connection.send_payload(fleet.sites[name].address, payload, id=f"{job.id}-ask")


def tell(fleet: Fleet, name: str, order: Cancel | Fetch | Heard) -> bool:
    """Send an order that is about a job to one of its sites, which may have left the fleet meanwhile."""
    site, kind = fleet.sites.get(name), type(order).__name__.lower()
    return site is not None and fleet.connection.send_payload(site.address, encode(order), id=f"{order.id}-{kind}")


def digests(job: Job, through: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each site with the digest of a body that `deliver` sends it, or that is sent again to it alone.

    through: what `deliver` gave back.
    """
    sealed = {text: digest(unseal(text).body) for text in set(job.sealed.values())}
    for name in job.names:
        text = job.sealed.get(name)
        yield name, digest(body_of(request_of(job, (name,)))) if text is None else sealed[text]
    if through and through[0] not in job.sealed:
        aloud = digest(body_of(request_of(job, through)))
        yield from ((name, aloud) for name in through)


def _by_room(fleet: Fleet, room: str | None, job: Job) -> bool:
    state = fleet.rooms.get(room or "")
    return state is not None and state.joined and 1 < len(job.names) <= min(ROOM_MOST, PACK)


def request_of(job: Job, names: Sequence[str]) -> Request:
    """What the sites of these names are asked, who are all of the job's or one pack of them."""
    local = tuple(name.partition("@")[0] for name in names)  # a site knows itself by its own name
    return Request(job.id, local, job.line, job.deadline, job.sites, job.dry_run, job.confirmed, dict(job.probed))


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
