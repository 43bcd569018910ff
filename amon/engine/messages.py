"""What an agent and an engine say to each other: one msgpack document per packet of a unix SOCK_SEQPACKET.

Agent to engine are orders: a document that is not understood is answered by `Refused`, never guessed. Engine to agent
are reports: fields that are not known are passed over. Addresses travel as 16 bytes, IPv4 mapped into IPv6 (RFC 4291,
2.5.5.2). Times are seconds, but nanoseconds in columns. Needs msgspec only, so that an agent needs no numpy.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

import msgspec
from msgspec import Meta

VERSION = 1
MESSAGE_MOST = 160 * 1024
"""Bytes of one message: with it a batch fits a default socket buffer (net.core.wmem_default, 208 KiB)."""
TARGETS_MOST = 4096
"""Addresses in one `Targets`."""

Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]*\Z")]
JobId = Annotated[int, Meta(ge=0, lt=2**31)]
Seconds = Annotated[float, Meta(ge=0, le=86400)]


class Message(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind"):
    """The base of all; `kind` names it."""


class Order(Message, frozen=True, forbid_unknown_fields=True):
    """Agent to engine."""


class Report(Message, frozen=True):
    """Engine to agent."""


# --- orders


class Hello(Order, frozen=True, tag="hello"):
    """The first message. tenant: on whose account; the engine's configuration says who may say so."""

    version: int
    tenant: Name
    client: Annotated[str, Meta(max_length=128)] = ""


class Spec(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a job's targets are probed. A visit is one target's turn: `burst` packets at each TTL, on each flow.

    rounds: visits of each target; None until the job is ended.
    size: bytes behind the ICMP header; 16 of them carry what tells the reply from a forged one.
    last_ttl: with `ttl` the range of a trace, one probe each; 0: `ttl` alone. A target that answers at some TTL is
    not probed beyond it any more.
    flows: different flows of a multipath trace (Paris: constant checksum and id within one flow).
    aligned: visits are on multiples of `interval` of the wall clock, shifted by the target's phase, so a restart goes
    on where it would be; else the first round begins now.
    jitter: each visit is moved at random within this share of the interval.
    priority: 0 on demand, 1 normal, 2 background: who waits when a cap is reached.
    seed: what fixes order and phases, with the address.
    rate: packets per second this job may send at most; None as many as the tenant may.
    """

    interval: Annotated[float, Meta(gt=0, le=86400)] = 1.0
    rounds: Annotated[int, Meta(ge=1, le=2**31)] | None = None
    burst: Annotated[int, Meta(ge=1, le=1000)] = 1
    gap: Seconds = 0.0
    timeout: Annotated[float, Meta(ge=0.01, le=60)] = 2.0
    size: Annotated[int, Meta(ge=16, le=1972)] = 56
    tos: Annotated[int, Meta(ge=0, le=255)] = 0
    df: bool = False
    ttl: Annotated[int, Meta(ge=1, le=255)] = 64
    last_ttl: Annotated[int, Meta(ge=0, le=255)] = 0
    flows: Annotated[int, Meta(ge=1, le=256)] = 1
    aligned: bool = False
    jitter: Annotated[float, Meta(ge=0, le=0.5)] = 0.0
    priority: Annotated[int, Meta(ge=0, le=2)] = 1
    seed: Annotated[str, Meta(max_length=128)] = ""
    rate: Annotated[float, Meta(gt=0)] | None = None


class Begin(Order, frozen=True, tag="begin"):
    """A new job, or another spec for one that runs; then come its targets, then `Ready`. job: the client's number."""

    job: JobId
    spec: Spec


class Targets(Order, frozen=True, tag="targets"):
    """The next addresses of a job, 16 bytes each, at most `TARGETS_MOST`. With the first one after `Begin` or after a
    `Ready` a new list begins; the old one is probed until the next `Ready`."""

    job: JobId
    addresses: Annotated[bytes, Meta(max_length=16 * TARGETS_MOST)]


class Ready(Order, frozen=True, tag="ready"):
    """The list is whole: from now on it is this one."""

    job: JobId


class Pause(Order, frozen=True, tag="pause"):
    job: JobId


class Resume(Order, frozen=True, tag="resume"):
    job: JobId


class End(Order, frozen=True, tag="end"):
    """No packet more; what is under way is waited for, then comes `Ended`."""

    job: JobId


class Capture(Order, frozen=True, tag="capture"):
    """The engine's own packets as a pcap into the file descriptor that comes with this message (SCM_RIGHTS).

    job: of this one only; None: all of the tenant's. address: to or from this one only, 16 bytes.
    """

    capture: JobId
    job: JobId | None = None
    address: Annotated[bytes, Meta(min_length=16, max_length=16)] | None = None
    sent: bool = True
    received: bool = True
    seconds: Annotated[float, Meta(gt=0, le=3600)] = 60.0
    packets: Annotated[int, Meta(ge=1, le=10_000_000)] = 100_000
    bytes: Annotated[int, Meta(ge=1024, le=2**31)] = 16 * 1024 * 1024


class EndCapture(Order, frozen=True, tag="end-capture"):
    capture: JobId


class Ask(Order, frozen=True, tag="ask"):
    """For a `Sample` now."""


AnyOrder = Hello | Begin | Targets | Ready | Pause | Resume | End | Capture | EndCapture | Ask

# --- reports


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """What nobody exceeds: packets and bytes (of whole frames) per second, packets under way."""

    rate: float
    bytes: float
    in_flight: int


class Welcome(Report, frozen=True, tag="welcome"):
    """engine: an id made anew at each start. ways: by interface, `XDP + XDP` (send + receive). identity: what stands
    in each packet's payload."""

    version: int
    engine: str
    ways: dict[str, str]
    limits: Limits
    identity: str = ""
    notes: tuple[str, ...] = ()


class Refused(Report, frozen=True, tag="refused"):
    """What was asked is not done. job: if it was about one; text: for people, names the next step."""

    text: str
    job: JobId | None = None


class Denied(msgspec.Struct, frozen=True):
    """Targets that are not probed, and why. rows: their places in the list, the first thousand."""

    text: str
    count: int
    rows: tuple[int, ...]


class Taken(Report, frozen=True, tag="taken"):
    """The list is in force. rate: packets per second it comes to. edition: counts the lists of this job, from 0."""

    job: JobId
    targets: int
    rate: float
    denied: tuple[Denied, ...] = ()
    edition: int = 0


STATES = ("lost", "answered", "unreachable", "hop", "late", "unsent")
"""What became of a probe, by the number in column `state`. lost: nothing came in time. unreachable: an ICMP error other
than time exceeded in transit. hop: that one, `source` says where. late: a row that amends an earlier `lost`. unsent:
the system did not take it, or an interface was gone."""

COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "sent": "q", "target": "I", "number": "I", "rtt": "q", "state": "B", "ttl": "B", "flow": "B",
        "hops": "B", "type": "B", "code": "B", "mtu": "H", "source": "I",
    }
)  # fmt: skip
"""Columns of a batch to their `array` type, little-endian.

sent: epoch ns. target: place in the job's list. number: the visit times burst plus the place in it, modulo 2^32.
rtt: ns, raw: it may be negative on very short links; 0 where nothing came. flow: 0 is the first. hops: TTL left in the
reply. type, code: of the ICMP answer. mtu: of the next link, from fragmentation needed / packet too big. source: row in
`sources`, `SELF` for the target itself.
"""
SELF = 0xFFFF_FFFF


class Batch(Report, frozen=True, tag="batch"):
    """Rows whose end is known, sealed: numbered from 0 within the job and never said again.

    columns: by name of `COLUMNS`; one that holds a single item is the same in all rows. sources: 16 bytes each.
    edition: which of the job's lists column `target` counts in; what was sent for an older one may come after `Taken`.
    """

    job: JobId
    seq: int
    rows: int
    columns: dict[str, bytes]
    sources: bytes = b""
    edition: int = 0

    def column(self, name: str) -> "memoryview[int]":
        """The values of a column, `rows` of them; of one that is the same in all rows only one."""
        return memoryview(self.columns[name]).cast(COLUMNS[name])  # type: ignore[call-overload,no-any-return]


class Tally(msgspec.Struct, frozen=True, omit_defaults=True):
    """Each probe of a job is in exactly one of the first counts:

        scheduled = skipped + ahead + sent + unsent
        sent = answered + unreachable + hops + lost + late + in_flight

    skipped: its time had passed before it could be sent (a cap, a pause, a suspended process). ahead: crafted for the
    next moment. The last five count packets that came in beside them: duplicate; forged (our id, a wrong nonce);
    wrong_source; truncated (too short to be told whose); bad_checksum. late ones are in rows of their own too.
    """

    scheduled: int = 0
    skipped: int = 0
    ahead: int = 0
    sent: int = 0
    unsent: int = 0
    answered: int = 0
    unreachable: int = 0
    hops: int = 0
    lost: int = 0
    late: int = 0
    in_flight: int = 0
    duplicate: int = 0
    forged: int = 0
    wrong_source: int = 0
    truncated: int = 0
    bad_checksum: int = 0


class State(Report, frozen=True, tag="state"):
    """How a job is, about every second while it changes."""

    job: JobId
    tally: Tally
    paused: bool = False
    held: bool = False
    """The client does not take its batches: nothing is sent until it does."""


class Ended(Report, frozen=True, tag="ended"):
    """The last word about a job; all its batches came before."""

    job: JobId
    tally: Tally
    text: str = ""


class Captured(Report, frozen=True, tag="captured"):
    capture: JobId
    packets: int
    bytes: int
    left_out: int = 0
    text: str = ""


class Sample(Report, frozen=True, tag="sample"):
    """The monitor of the monitor: this engine over the last `span` seconds; totals since its start where it says so.

    drops: by layer and counter, since the start: `eth0 xdp rx_ring_full`, ... Anything above 0 may be a loss of ours.
    late: of ticks, ns: p50, p99, most. stamps: error of send stamps against kernel stamps on a sample, ns: p50, p99.
    """

    at: float
    span: float
    sent: int
    received: int
    cpu: float
    memory: int
    tally: Tally
    drops: dict[str, int]
    late: tuple[int, int, int] = (0, 0, 0)
    stamps: tuple[int, int] | None = None
    stamped_by: str = ""
    jobs: int = 0
    targets: int = 0
    in_flight: int = 0
    ahead: int = 0
    queued: int = 0
    """Bytes of batches that clients have not taken."""
    ways: dict[str, str] = {}
    notes: tuple[str, ...] = ()


AnyReport = Welcome | Refused | Taken | Batch | State | Ended | Captured | Sample

_encoder = msgspec.msgpack.Encoder()
_orders: msgspec.msgpack.Decoder[AnyOrder] = msgspec.msgpack.Decoder(AnyOrder)
_reports: msgspec.msgpack.Decoder[AnyReport] = msgspec.msgpack.Decoder(AnyReport)


def encode(message: Message) -> bytes:
    return _encoder.encode(message)


def read_order(data: bytes) -> AnyOrder:
    """Raises msgspec.ValidationError or msgspec.DecodeError."""
    try:
        return _orders.decode(data)
    except UnicodeDecodeError as error:  # msgspec lets it through as it is
        raise msgspec.DecodeError(str(error)) from None


def read_report(data: bytes) -> AnyReport:
    """Raises msgspec.ValidationError or msgspec.DecodeError."""
    try:
        return _reports.decode(data)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from None
