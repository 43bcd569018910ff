"""The figures of the packet engine beside those of its peers, as rows. Read ratios, not rates.

What is compared runs on the same ground, one after the other in turn, on one core. CPU is that of the process, the
kernel's work in its name included (getrusage(2), /proc/PID/schedstat).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tests.bench.probe import ours, peers
from tests.bench.probe.grounds import Ground, chain, ground
from tests.bench.probe.ours import Flight
from tests.bench.probe.steady import steady
from tests.bench.probe.timed import Run, middle_of
from tests.bench.rows import Row, spread


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured. addresses times rounds: probes of ours in one run. seconds: of the steady run."""

    repeats: int = 3
    addresses: int = 16_384
    rounds: int = 192
    peers: int = 250_000
    traces: int = 4_000
    seconds: float = 20.0
    rate: float = 10_000.0


QUICK = Size(repeats=1, addresses=2_000, rounds=5, peers=4_096, traces=50, seconds=2.0, rate=1_000.0)


@dataclass(slots=True)
class Figures:
    """gates: ratios of one and the same run, which say whether a budget is kept. shown: all the others."""

    gates: list[Row] = field(default_factory=list)
    shown: list[Row] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one prober on one ground: the run in the middle, and how far the others lay apart."""

    run: Run
    note: str
    flights: Sequence[Flight] = ()


def _middle(runs: Sequence[Run], flights: Sequence[Flight] = ()) -> Measured:
    note = "CPU/M " + spread([run.per_million for run in runs], "{:.2f}")
    return Measured(middle_of(runs, lambda run: run.per_million), note, flights)


def of_peers(on: Ground, size: Size, names: Sequence[str]) -> dict[str, Measured]:
    made: dict[str, list[Run]] = {name: [] for name in names}
    for _ in range(size.repeats):
        for name in names:
            made[name].append(peers.PEERS[name](on, size.peers))
    return {name: _middle(runs) for name, runs in made.items()}


async def of_ours(on: Ground, size: Size, way: str, *, words: tuple[str, ...] = ()) -> Measured:
    targets = peers.addresses(size.addresses)
    flights = [await ours.at_full_speed(on, way, targets, size.rounds, words=words) for _ in range(size.repeats)]
    return _middle([one.run for one in flights], flights)


async def sending(size: Size) -> Figures:
    """T: nobody answers; crafting with random nonces and checksums is ours, one packet over and over trafgen's. Both
    use the whole of one core."""
    found = Figures()
    with ground("T") as on:
        reference = _middle([peers.trafgen(on, size.peers * 4) for _ in range(size.repeats)])
        mine = await of_ours(on, size, "xdp")
    found.shown += [
        Row("T send only: amon-engine", mine.run.rate, "/s", 1e6, "more", mine.note),
        Row("T send only: trafgen", reference.run.rate, "/s", None, "more", reference.note),
    ]
    found.gates.append(
        Row("T times trafgen's packets per second", mine.run.rate / reference.run.rate, "x", 1.3, "more",
            f"CPU per packet: {mine.run.per_million / reference.run.per_million:.2f} of its")
    )  # fmt: skip
    return found


PART_OF = {"fping": 1 / 6, "zmap": 1 / 3.5, "masscan": 1 / 3}
OTHER_WAYS = {"xsk+ring": (3.5, 5.0), "packet+ring": None, "raw": None, "ping": (1.75, 2.5)}
"""Times fping's packets per CPU second: what must be, and what was aimed at. The aims leave nothing for us: the
kernel's own work for these ways takes a fifth, and two fifths, of what fping takes (docs/probe.md)."""


async def answered(size: Size) -> Figures:
    """F: sent, answered, matched, handed over; then what each way less costs."""
    found = Figures()
    with ground("F") as on:
        others = of_peers(on, size, tuple(PART_OF))
        mine = await of_ours(on, size, "xdp")
        _account(found, "F xdp", mine, 0.5e6)
        for name, part in PART_OF.items():
            _show(found, f"F {name}", others[name])
            ratio = mine.run.per_million / others[name].run.per_million
            found.gates.append(Row(f"F CPU per packet: part of {name}'s", ratio, "", part, "less", _budget(part)))
        for way, times in OTHER_WAYS.items():
            await _other_way(found, on, size, way, times, others["fping"])
    return found


def _budget(part: float) -> str:
    return f"1/{1 / part:.3g} of it"


async def _other_way(
    found: Figures, on: Ground, size: Size, way: str, times: tuple[float, float] | None, fping: Measured
) -> None:
    fewer = Size(size.repeats, size.addresses, max(1, size.rounds // 3))
    mine = await of_ours(on, fewer, way, words=ours.UNPRIVILEGED if way == "ping" else ())
    _account(found, f"F {way}", mine, None)
    ratio = fping.run.per_million / mine.run.per_million
    what = f"F {way}: times fping's packets per CPU second"
    if times:
        found.gates.append(Row(what, ratio, "x", times[0], "more", f"aimed at {times[1]:g}"))
    else:
        found.shown.append(Row(what, ratio, "x", None, "more"))


async def by_the_kernel(size: Size) -> Figures:
    """K: the kernel's ICMP answers on the same core. It costs more than any prober, and hides differences."""
    found = Figures()
    with ground("K") as on:
        others = of_peers(on, size, tuple(PART_OF))
        mine = await of_ours(on, Size(size.repeats, size.addresses, max(1, size.rounds // 4)), "xdp")
    _account(found, "K xdp", mine, None)
    for name, other in others.items():
        _show(found, f"K {name}", other)
    return found


def _account(found: Figures, what: str, mine: Measured, budget: float | None) -> None:
    """Its rate, and whether everything sent is accounted for in every run."""
    lost = sum(one.run.sent - one.run.matched for one in mine.flights)
    listening = mine.flights[0].listening / mine.flights[0].run.sent * 1e6
    note = f"{mine.note}; client {listening:.2f}; {lost} not matched"
    dropped = {name: count for one in mine.flights for name, count in one.drops.items()}
    found.shown.append(Row(f"{what}: amon-engine", mine.run.rate, "/s", budget, "more", note + _told(dropped)))
    found.gates.append(
        _whole(
            f"{what}: runs in which every packet is accounted for",
            sum(one.taken.accounted for one in mine.flights),
            len(mine.flights),
        )
    )


def _whole(what: str, good: int, of: int) -> Row:
    """All of them, or it is missed."""
    return Row(what, good / of, "", 1, "more", f"{good:,} of {of:,}")


def _told(dropped: dict[str, int]) -> str:
    return "".join(f"; {name} {count}" for name, count in dropped.items())


def _show(found: Figures, what: str, other: Measured) -> None:
    share = other.run.matched / other.run.sent
    found.shown.append(Row(what, other.run.rate, "/s", None, "more", f"{other.note}; {share:.1%} matched"))


async def around_the_clock(size: Size) -> Figures:
    """So many packets a second, evenly: what that costs, and how far off RTTs are."""
    found = Figures()
    with ground("F") as on:
        told = await steady(on, peers.addresses(int(size.rate)), size.seconds)
    at = f"{size.rate:,.0f}/s"
    note = f"{told.sent} sent, {told.sent - told.answered} not answered, {told.skipped} skipped"
    found.shown += [
        Row(f"{at}: CPU", told.cpu * 100, "% of a core", 7, "less", note),
        Row(f"{at}: memory", told.memory / 1e6, "MB", 60, "less", "resident"),
        Row(f"{at}: ticks late, p50", told.late[0] / 1e3, "µs", None, "less", f"p99 {told.late[1] / 1e3:.0f} µs"),
        Row(f"{at}: RTT error p50", told.stamps[0] / 1e3, "µs", 3, "less", told.stamped_by),
        Row(f"{at}: RTT error p99", told.stamps[1] / 1e3, "µs", 12, "less", told.stamped_by),
    ]  # fmt: skip
    found.gates.append(_whole(f"{at}: accounted for", int(told.accounted), 1))
    return found


async def tracing(size: Size) -> Figures:
    """Through five routers, all on one core."""
    found = Figures()
    with chain() as path:
        other = [peers.scamper(path, size.traces) for _ in range(size.repeats)]
        mine = [await ours.trace(path, peers.addresses(size.traces * 4)) for _ in range(size.repeats)]
    whole = sum(one.run.matched for one in mine)
    theirs, own = middle_of(other, lambda run: run.rate), middle_of([one.run for one in mine], lambda run: run.rate)
    found.shown += [
        Row("trace: amon-engine", own.rate, "/s", None, "more", _traced(own)),
        Row("trace: scamper", theirs.rate, "/s", None, "more", _traced(theirs)),
    ]
    found.gates += [
        Row("trace: times scamper's rate", own.rate / theirs.rate, "x", 8, "more"),
        _whole("trace: put down to the right probe", whole - sum(one.run.mismatched for one in mine), whole),
    ]
    return found


def _traced(run: Run) -> str:
    return f"CPU/M {run.per_million:.1f}; {run.sent:,} probes, {run.matched / run.sent:.1%} answered"


ALL: dict[str, Callable[[Size], Awaitable[Figures]]] = {
    "sending": sending, "answered": answered, "kernel": by_the_kernel, "clock": around_the_clock, "trace": tracing,
}  # fmt: skip
