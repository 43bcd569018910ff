"""Where a right, a system call or a kind of socket is refused the engine takes the next best way, and says so."""

import os
import sys
from collections.abc import Mapping, Sequence

import pytest

from amon.engine.messages import Spec
from tests.engine.faults.ways import LINK, folder, let_everybody_ping, scene
from tests.lab.accounts import book_of
from tests.lab.engine import prober
from tests.lab.namespaces import needs_root, needs_tun
from tests.lab.tun import addresses, answer, scripted, silent

pytestmark = [pytest.mark.lab, needs_root, needs_tun]
SPEC = Spec(interval=0.2, rounds=3, timeout=0.4)
TARGETS = [one for place in (0, 1) for family in (4, 6) for one in addresses(family, place, 5)]
AF_PACKET, AF_XDP = 17, 44


async def probed(
    words: tuple[str, ...] = (), *, dedicated: bool = False, cores: Sequence[int] = ()
) -> tuple[Mapping[str, str], str]:
    """The ways it took, and what it says about the others; the counts are exact whichever that is."""
    with scripted([answer(), silent()]) as (end, script), folder() as place:
        let_everybody_ping(end.space)
        lab = prober(place, end.space, interface=end.interface, words=words, dedicated=dedicated, cores=cores)
        async with lab as one, one.client() as client:
            book = await book_of(client, SPEC, TARGETS)
            sample = await client.sample()
        assert (book.tally.sent, book.tally.answered, book.tally.lost) == (60, 30, 30)
        assert script.requests == 60
        return sample.ways, "\n".join(sample.notes)


def refusing(*calls: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.lab.refusing", *calls, "--")


def without(*capabilities: str) -> tuple[str, ...]:
    taken = ",".join(f"-{name}" for name in capabilities)
    return ("setpriv", f"--bounding-set={taken}", f"--inh-caps={taken}")


async def test_with_every_right_a_dedicated_host_is_probed_from_by_xdp() -> None:
    ways, notes = await probed((), dedicated=True)
    assert ways["lab0"] == "xdp"
    assert "xdp:" not in notes


async def test_without_dedication_no_program_is_attached() -> None:
    ways, _ = await probed(())
    assert ways["lab0"] == "xsk+ring"


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
async def test_of_two_cores_at_one_queue_the_second_takes_the_next_best_way_and_it_is_told() -> None:
    ways, notes = await probed(cores=sorted(os.sched_getaffinity(0))[:2])
    assert sorted(ways["lab0"].split(", ")) == ["packet+ring", "xsk+ring"]
    assert "xsk+ring: queue 0 of lab0: another AF_XDP socket is there: end its program; of several `cores`" in notes


@pytest.mark.parametrize(
    ("words", "way", "said"),
    [
        (without("bpf", "sys_admin"), "xsk+ring", "CAP_BPF"),
        (without("net_admin", "sys_admin"), "xsk+ring", "CAP_NET_ADMIN"),
        (refusing("bpf"), "xsk+ring", "xdp"),
        (refusing(f"socket:{AF_XDP}"), "packet+ring", "xsk+ring"),
        (refusing(f"socket:{AF_XDP}", f"socket:{AF_PACKET}"), "raw", "packet+ring"),
        (without("net_raw", "sys_admin"), "ping", "CAP_NET_RAW"),
    ],
    ids=["no CAP_BPF", "no CAP_NET_ADMIN", "no bpf(2)", "no AF_XDP", "no AF_PACKET", "no CAP_NET_RAW"],
)
async def test_where_a_right_is_missing_the_next_best_way_is_taken_and_the_reason_told(
    words: tuple[str, ...], way: str, said: str
) -> None:
    ways, notes = await probed(words, dedicated=True)
    assert ways["lab0"] == way, notes
    assert said in notes


@pytest.mark.parametrize("way", LINK)
async def test_the_way_that_is_configured_is_the_one_that_is_taken(way: str) -> None:
    async with scene(way, [answer()]) as lab, lab.prober.client() as client:
        assert client.welcome.ways["lab0"] == way
