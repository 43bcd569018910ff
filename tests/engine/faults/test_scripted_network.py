"""Whatever a network does to packets, each is in exactly one count, and the counts are those of the script.

By every way there is, from XDP down to a process without any right, in both families.
"""

from collections import Counter
from dataclasses import dataclass, field

import pytest

from amon.engine.messages import Spec, State, Tally
from tests.engine.faults.ways import WAYS, scene
from tests.lab.accounts import Book, book_of
from tests.lab.namespaces import needs_root, needs_tun
from tests.lab.tun import (
    Fate,
    about_another,
    addresses,
    answer,
    backwards,
    behind,
    cut_to,
    forged,
    from_elsewhere,
    one_in,
    silent,
    too_big,
    unreachable,
    wrong_sum,
)  # fmt: skip

pytestmark = [pytest.mark.lab, needs_root, needs_tun]
EACH, ROUNDS = 4, 3
SENT = EACH * ROUNDS
SPEC = Spec(interval=0.4, rounds=ROUNDS, timeout=0.5)


@dataclass(frozen=True)
class Case:
    """fate: of `EACH` targets. rows: what becomes of their `SENT` packets, by state. beside: what else is counted."""

    name: str
    fate: Fate
    rows: dict[str, int]
    beside: dict[str, int] = field(default_factory=dict)


def cases() -> list[Case]:
    return [
        Case("answered", answer(), {"answered": SENT}),
        Case("silent", silent(), {"lost": SENT}),
        Case("threefold", answer(times=3), {"answered": SENT}, {"duplicate": 2 * SENT}),
        Case("slow", answer(after=0.2), {"answered": SENT}),
        Case("reordered", backwards(EACH), {"answered": SENT}),
        Case("forged", forged(), {"lost": SENT}, {"forged": SENT}),
        Case("wrong source", from_elsewhere(), {"lost": SENT}, {"wrong_source": SENT}),
        Case("cut short", cut_to(4), {"lost": SENT}, {"truncated": SENT}),
        Case("damaged", wrong_sum(), {"lost": SENT}, {"bad_checksum": SENT}),
        Case("unreachable", unreachable(1), {"unreachable": SENT}),
        Case("forbidden, quoted by 8 bytes", unreachable(3, quoted=8), {"unreachable": SENT}),
        Case("unreachable, said twice", unreachable(0, times=2), {"unreachable": SENT}, {"duplicate": SENT}),
        Case("an error about another", about_another(), {"lost": SENT}, {"wrong_source": SENT}),
        Case("rate limited", one_in(ROUNDS), {"answered": EACH, "lost": SENT - EACH}),
        Case("behind routers", behind(3, answer()), {"answered": SENT}),
        Case("too big", too_big(1280), {"unreachable": SENT}),
    ]


def expected(chosen: list[Case]) -> Tally:
    rows: Counter[str] = Counter()
    beside: Counter[str] = Counter()
    for case in chosen:
        rows.update(case.rows)
        beside.update(case.beside)
    sent = SENT * len(chosen)
    job = {name: beside[name] for name in ("duplicate", "forged", "wrong_source")}
    return Tally(
        scheduled=sent, sent=sent, answered=rows["answered"], unreachable=rows["unreachable"], lost=rows["lost"], **job
    )


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("way", WAYS)
async def test_every_packet_is_in_the_count_its_fate_says(way: str, family: int) -> None:
    chosen = cases()
    targets = [one for place in range(len(chosen)) for one in addresses(family, place, EACH)]
    async with scene(way, [case.fate for case in chosen]) as lab, lab.prober.client() as engine:
        book = await book_of(engine, SPEC, targets)
        sample = await engine.sample()
        assert lab.script.requests == SENT * len(chosen)
    for place, case in enumerate(chosen):
        assert book.of(range(place * EACH, (place + 1) * EACH)) == case.rows, case.name
    assert book.tally == expected(chosen)
    assert {name: sample.drops[f"table {name}"] for name in ("truncated", "bad_checksum")} == {
        "truncated": SENT,
        "bad_checksum": 0 if is_judged_before(way, family) else SENT,
    }
    assert sum(dropped(sample.drops).values()) == (SENT if way == "raw" and family == 6 else 0), sample.drops


def is_judged_before(way: str, family: int) -> bool:
    """Whether the kernel drops a wrong ICMP checksum before we could see it (raw(7), RFC 3542, 3.1)."""
    return way == "ping" or (way == "raw" and family == 6)


def dropped(drops: dict[str, int]) -> dict[str, int]:
    """What our own layers lost; the table's counts are about what came."""
    return {name: count for name, count in drops.items() if count and not name.startswith("table ")}


@pytest.mark.parametrize("way", WAYS)
async def test_both_families_in_one_list_are_one_account(way: str) -> None:
    targets = [one for row in range(1, 9) for family in (4, 6) for one in addresses(family, row % 2, row)[-1:]]
    async with scene(way, [answer(), silent()]) as lab, lab.prober.client() as engine:
        book: Book = await book_of(engine, SPEC, targets)
    assert (book.states["answered"], book.states["lost"]) == (8 * ROUNDS, 8 * ROUNDS)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("way", WAYS)
async def test_a_trace_has_each_router_at_its_hop_and_stops_at_the_target(way: str, family: int) -> None:
    routers, rounds = 4, 3
    spec = Spec(interval=1.5, rounds=rounds, timeout=0.5, ttl=1, last_ttl=8)
    fates = [behind(routers, answer()), behind(routers, answer(), quoted=8), behind(routers, silent())]
    targets = [one for place in range(3) for one in addresses(family, place, EACH)]
    async with scene(way, fates) as lab, lab.prober.client() as engine:
        book = await book_of(engine, spec, targets)
    hops = rounds * routers * EACH
    for place in (0, 1):
        found = book.of(range(place * EACH, (place + 1) * EACH))
        assert found["hop"] == hops
        assert set(found) == {"hop", "answered"}
    assert book.of(range(2 * EACH, 3 * EACH)) == {"hop": hops, "lost": rounds * 4 * EACH}


@pytest.mark.parametrize("way", WAYS)
async def test_an_answer_after_its_time_amends_the_row_that_said_lost(way: str) -> None:
    """As long as its job is there: what comes after the end of a job is nobody's."""
    fates = [answer(after=0.7), answer(after=0.7, times=2)]
    targets = [one for place in (0, 1) for family in (4, 6) for one in addresses(family, place, EACH)]
    async with scene(way, fates) as lab, lab.prober.client() as engine:
        job = await engine.begin(Spec(interval=0.4, timeout=0.5), targets)
        book = Book()
        async for report in job:
            book.take(report)
            if isinstance(report, State):
                tally = report.tally
                if tally.sent >= SENT and not report.paused:
                    await job.pause()
                elif report.paused and not tally.in_flight + tally.ahead and is_all_late(tally):
                    await job.end()
        sent = lab.script.requests
    book.check()
    assert (book.tally.sent, book.tally.late, book.tally.lost) == (sent, sent, 0)
    twice = {place: sum(book.of([place]).values()) for place in range(2 * EACH, 4 * EACH)}
    assert book.tally.duplicate == sum(twice.values()) // 2


def is_all_late(tally: Tally) -> bool:
    """Each a row `lost` and a row `late`, and the second answer of half of them."""
    return tally.late == tally.sent and tally.duplicate >= tally.sent // 2 - EACH
