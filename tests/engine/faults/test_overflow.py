"""More comes in than can be kept, or rubbish: what was dropped stands in a counter, and explains what is missing."""

import signal

import pytest

from amon.engine.messages import Sample, Spec
from tests.engine.faults.ways import LINK, engine, scene
from tests.lab.accounts import Book, book_of
from tests.lab.namespaces import needs_root, needs_tun, pair
from tests.lab.responder import responder
from tests.lab.tun import addresses, answer, garbage, silent
from tests.waiting import until

pytestmark = [pytest.mark.lab, needs_root, needs_tun]
TARGETS, TIMES = 200, 800
"""Answers that come while the engine is suspended: more than any of its buffers holds."""


def dropped(sample: Sample) -> dict[str, int]:
    """Packets that layers of ours dropped: the table's counts are about what came, and a frozen ring is no packet."""
    return {name: n for name, n in sample.drops.items() if n and not name.startswith("table ") and "freeze" not in name}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("way", ["xdp", "packet+ring", "raw"])
async def test_what_a_full_ring_dropped_is_counted_to_the_packet(way: str) -> None:
    """Each packet that was written to us is an answer, a duplicate, or in a drop counter."""
    spec = Spec(interval=0.2, rounds=1, timeout=25.0)
    async with scene(way, [answer(after=1.0, times=TIMES)]) as lab, lab.prober.client() as engine:
        job = await engine.begin(spec, addresses(4, 0, TARGETS))
        await until(lambda: lab.script.requests == TARGETS)
        lab.prober.tell(signal.SIGSTOP)
        await until(lambda: lab.script.written == TARGETS * TIMES, 40)
        lab.prober.tell(signal.SIGCONT)
        book = (await Book().listen(job)).check()
        drops = dropped(await engine.sample())
    tally = book.tally
    assert tally.sent == TARGETS == tally.answered + tally.lost
    assert tally.lost > 0, "nothing was too much: the test is too small"
    assert drops, "lost, and no counter says why"
    assert tally.answered + tally.duplicate + sum(drops.values()) == TARGETS * TIMES, drops


@pytest.mark.timeout(120)
@pytest.mark.parametrize("way", ["xdp", "xsk+ring"])
async def test_a_million_targets_are_accounted_for_to_the_last(way: str) -> None:
    """Of both families mixed, as fast as it goes: whatever is lost must have been dropped by a layer of ours."""
    half = [f"10.{64 + (n >> 16)}.{n >> 8 & 255}.{n & 255}" for n in range(500_000)]
    targets = [one for n, v4 in enumerate(half) for one in (v4, f"fd64:1::{n >> 16:x}:{n & 0xFFFF:x}")]
    with pair() as lab, responder(lab.far.interface, lab.far.space.name) as answering:
        async with engine(way, lab.near) as one, one.client() as client:
            book = await book_of(client, Spec(interval=1.0, rounds=1, timeout=3.0), targets)
            drops = dropped(await client.sample())
        assert book.tally.sent == len(targets) == answering.answered
    assert book.tally.answered + book.tally.lost == len(targets)
    assert len(book.rows) == len(targets)
    assert book.tally.lost == sum(drops.values())


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("way", [*LINK, "raw"])
async def test_rubbish_ends_no_job_and_no_engine(way: str, family: int) -> None:
    """300 targets answer with turned bits and torn packets: hardly any of it passes, and the others get theirs."""
    fates = [garbage(family), answer(), silent()]
    targets = [one for place in range(3) for one in addresses(family, place, 100)]
    async with scene(way, fates) as lab, lab.prober.client() as engine:
        book = await book_of(engine, Spec(interval=0.5, rounds=3, timeout=0.5), targets)
        sample = await engine.sample()
    assert book.of(range(100, 200)) == {"answered": 300}
    assert book.of(range(200, 300)) == {"lost": 300}
    assert set(book.of(range(100))) <= {"lost", "answered", "hop"}
    refused = sum(sample.drops[f"table {name}"] for name in ("truncated", "bad_checksum", "odd", "forged", "foreign"))
    assert refused + book.tally.forged + book.tally.wrong_source + sum(dropped(sample).values()) > 0
