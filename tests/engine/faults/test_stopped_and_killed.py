"""An engine that is suspended, killed, or told other rules: no burst, no gap in the phases, nothing unaccounted for."""

import asyncio
import os
import signal
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from amon.engine.asking.client import Times
from amon.engine.messages import STATES, Spec
from tests.engine.faults.standing import Standing, most_within, standing
from tests.engine.faults.ways import engine, folder, scene
from tests.lab.accounts import balanced
from tests.lab.engine import MUCH, Value, prober
from tests.lab.namespaces import needs_root, needs_tun, pair
from tests.lab.responder import responder
from tests.lab.tun import addresses, answer, scripted
from tests.waiting import until

pytestmark = [pytest.mark.lab, needs_root, needs_tun]
LOST = STATES.index("lost")
RATE = 2500.0
LIMITS: dict[str, Value] = {**MUCH, "rate": RATE}


def sent(one: Standing) -> list[int]:
    return [at for at, _, state in one.ends if STATES[state] not in ("late", "unsent")]


@pytest.mark.parametrize("way", ["xdp", "packet+ring", "raw"])
async def test_what_was_due_while_it_was_suspended_is_skipped_and_not_sent_at_once(way: str) -> None:
    """2,000 packets a second, suspended for 2 s: what its slack of 250 ms lets pass keeps below the cap."""
    targets = addresses(4, 0, 2000)
    with pair() as lab, responder(lab.far.interface, lab.far.space.name):
        async with engine(way, lab.near, limits=LIMITS) as one, one.client() as client:
            async with standing(client, Spec(interval=1.0, timeout=5.0), targets) as job:
                await job.wait("answered", 2000)
                one.tell(signal.SIGSTOP)
                await asyncio.sleep(2.0)
                one.tell(signal.SIGCONT)
                await job.wait("answered", 4000)
            book = job.book.check()
    assert 3000 <= book.tally.skipped <= 5000
    assert book.tally.lost == 0, "what came in meanwhile waited in the kernel, with its stamp"
    assert most_within(sent(job), 0.1) <= RATE * (0.1 + 0.06)


async def test_an_engine_that_was_killed_goes_on_in_the_same_phases_without_a_burst() -> None:
    count, interval = 200, 1.0
    with pair() as lab, responder(lab.far.interface, lab.far.space.name), folder() as place:
        async with prober(place, lab.near.space, interface=lab.near.interface, limits=LIMITS) as one:
            spec = Spec(interval=interval, timeout=0.5, aligned=True, seed="always")
            times = Times(first=0.05, most=0.2)
            async with one.client(times) as client, standing(client, spec, addresses(4, 0, count)) as job:
                await job.wait("answered", 2 * count)
                one.tell(signal.SIGKILL)
                await one.wait()
                await one.start()
                await until(lambda: job.book.gaps)
                await job.wait("answered", 3 * count)
                before, after = split(job, job.book.gaps[0].begin)
            gap = job.book.gaps[0]
    assert gap.tally.sent > 0
    assert most_within([*before, *after], 0.1) <= 4 * count * 0.1 / interval
    moved = phases_moved(job, gap.begin, interval)
    assert len(moved) == count
    # A tick that comes late moves a packet; a round that begins anew would move all of them.
    assert sorted(moved)[count // 2] < 0.02


def split(job: Standing, moment: float) -> tuple[list[int], list[int]]:
    stamps = sent(job)
    return [one for one in stamps if one < moment * 1e9], [one for one in stamps if one >= moment * 1e9]


def phases_moved(job: Standing, moment: float, interval: float) -> list[float]:
    """By target: how far its phase is behind the gap from where it was before, s."""
    phases: dict[tuple[bool, int], list[float]] = defaultdict(list)
    for at, target, _ in job.ends:
        phases[at >= moment * 1e9, target].append(at / 1e9 % interval)
    moved = []
    for (late, target), mine in phases.items():
        if late and (False, target) in phases:
            off = abs(middle(mine) - middle(phases[False, target]))
            moved.append(min(off, interval - off))
    return moved


def middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


async def test_a_target_denied_by_a_reload_hears_nothing_more_and_the_others_do() -> None:
    targets = addresses(4, 0, 4)
    async with scene("xsk+ring", [answer()]) as lab, lab.prober.client() as client:
        async with standing(client, Spec(interval=0.1, timeout=0.5), targets) as job:
            await job.wait("answered", 8)
            lab.prober.configure(settings={"deny": [targets[0]]})
            lab.prober.tell(signal.SIGHUP)
            await until(lambda: "reloaded" in lab.prober.log)
            await job.wait("answered", 12)
            before = dict(lab.script.seen)
            await job.wait("answered", 12)
            more = {address: lab.script.seen[address] - count for address, count in before.items()}
        job.book.check()
    assert sorted(more.values())[0] == 0
    assert sorted(more.values())[1] >= 3
    assert job.book.tally.lost == 0


async def test_a_configuration_with_a_mistake_changes_nothing() -> None:
    async with scene("xsk+ring", [answer()]) as lab, lab.prober.client() as client:
        async with standing(client, Spec(interval=0.1, timeout=0.5), addresses(4, 0, 4)) as job:
            await job.wait("answered", 4)
            lab.prober.configure(settings={"deny": ["nowhere"]})
            lab.prober.tell(signal.SIGHUP)
            await until(lambda: "not reloaded" in lab.prober.log)
            await job.wait("answered", 12)
        job.book.check()
    assert job.book.tally.lost == 0


async def test_a_lower_rate_by_a_reload_holds_from_then_on() -> None:
    """200 targets ten times a second; then 500 packets a second are all there may be."""
    async with scene("xsk+ring", [answer()], limits=LIMITS) as lab, lab.prober.client() as client:
        async with standing(client, Spec(interval=0.1, timeout=0.5), addresses(4, 0, 200)) as job:
            await job.wait("answered", 1000)
            lab.prober.configure(settings={"rate": 500.0}, tenant={"rate": 500.0})
            lab.prober.tell(signal.SIGHUP)
            await until(lambda: "reloaded" in lab.prober.log)
            await job.wait("answered", 400)
            ordered = len(job.ends)
            await job.wait("answered", 1000)
        job.book.check()
    last = sorted(at for at, _, _ in job.ends[ordered:])
    assert most_within(last, 1.0) <= 500 * 1.06 + 1
    assert job.book.tally.skipped > 0


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
async def test_of_two_cores_one_is_killed_and_begins_again_while_the_other_probes_on() -> None:
    """Each probes its share; the parent starts the dead one anew, and the client begins that share again."""
    targets = addresses(4, 0, 40)
    cores = sorted(os.sched_getaffinity(0))[:2]
    with scripted([answer()]) as (end, script), folder() as place:
        lab = prober(place, end.space, interface=end.interface, way="packet+ring", cores=cores)
        times = Times(first=0.05, most=0.2)
        async with lab as one, one.client(times) as client:
            async with standing(client, Spec(interval=0.1, timeout=0.5), targets) as job:
                await job.wait("answered", 80)
                children = [int(pid) for pid in Path(f"/proc/{one.pid}/task/{one.pid}/children").read_text().split()]
                os.kill(children[0], signal.SIGKILL)
                await until(lambda: job.book.gaps, 30)
                before = dict(script.seen)
                await until(lambda: all(script.seen[each] > count + 5 for each, count in before.items()))
            gaps = len(job.book.gaps)
    assert len(children) == len(cores)
    assert gaps == 1
    tally = job.book.tally
    balanced(tally)
    assert len(script.seen) == len(targets)
