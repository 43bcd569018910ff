"""An interface that goes and comes back, and addresses that change, while a job stands."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from amon.engine.asking.client import Engine
from amon.engine.messages import Spec
from tests.engine.faults.standing import Standing, standing
from tests.engine.faults.ways import LINK, engine, scene
from tests.lab.namespaces import End, namespaces, needs_root, needs_tun
from tests.lab.tun import Behind, addresses, answer, answering, device, scripted, set_up
from tests.waiting import until

pytestmark = [pytest.mark.lab, needs_root, needs_tun]
TARGETS = [*addresses(4, 0, 5), *addresses(6, 0, 5)]
SPEC = Spec(interval=0.1, timeout=0.5)


@contextmanager
def plugged(end: End, script: Behind, *, ethernet: bool) -> Iterator[None]:
    with device(end.space, end.interface, ethernet=ethernet) as descriptor:
        set_up(end, ethernet=ethernet)
        with answering(descriptor, script, ethernet=ethernet):
            yield


async def wait_for_way(client: Engine, way: str) -> None:
    """Until it is in use; between two looks the engine tells of itself once."""
    async with asyncio.timeout(20):
        while way not in (sample := await client.sample()).ways.values():
            told = asyncio.Event()
            client.on_sample = lambda _, told=told: told.set()
            await told.wait()
    assert sample.ways


def end_of_nothing(job: Standing) -> None:
    """Every packet has its end, none is under way for ever."""
    tally = job.book.check().tally
    assert tally.sent == tally.answered + tally.lost


@pytest.mark.parametrize("way", ["xdp", "xsk+ring", "packet+ring", "raw"])
async def test_an_interface_that_goes_and_comes_back_is_probed_through_again(way: str) -> None:
    ethernet = way in LINK
    with namespaces("plug") as (space,), ExitStack() as plug:
        end, script = End(space, "lab0", "02:00:00:00:00:0a"), Behind([answer()])
        plug.enter_context(plugged(end, script, ethernet=ethernet))
        lab = engine(way, end, keep_rights=True)
        async with lab as one, one.client() as client, standing(client, SPEC, TARGETS) as job:
            await job.wait("answered", 50)
            plug.close()
            await until(lambda: job.count("unsent") + job.count("lost") >= 20)
            before = script.requests
            plug.enter_context(plugged(end, script, ethernet=ethernet))
            await job.wait("answered", 100, 30)
            await wait_for_way(client, way)
            await job.wait("answered", 100, 30)
    assert script.requests >= before + 200
    end_of_nothing(job)


@pytest.mark.parametrize("way", ["xdp", "packet+ring", "raw"])
async def test_after_a_change_of_address_packets_come_from_the_new_one(way: str) -> None:
    async with scene(way, [answer()]) as lab, lab.prober.client() as client, standing(client, SPEC, TARGETS) as job:
        await job.wait("answered", 30)
        renumber(lab.end, ethernet=way in LINK)
        await until(lambda: new_sources(lab.script) == 2)
        lab.script.heard.clear()
        await job.wait("answered", 50)
        after = {source for source, _ in lab.script.heard}
    end_of_nothing(job)
    assert after == {socket.inet_aton("10.99.0.77"), socket.inet_pton(socket.AF_INET6, "fd99::77")}


def new_sources(script: Behind) -> int:
    return len({source for source, _ in list(script.heard) if source[-1] in (77, 0x77)})


def renumber(end: End, *, ethernet: bool) -> None:
    """With the last address of a family its routes and neighbours have gone."""
    for old, new, network, gateway in (
        ("10.99.0.1/24", "10.99.0.77/24", "10.64.0.0/10", "10.99.0.2"),
        ("fd99::1/64", "fd99::77/64", "fd64::/16", "fd99::2"),
    ):
        end.space.ip("address", "delete", old, "dev", end.interface)
        end.address(new)
        if ethernet:
            end.neighbour(gateway, "02:00:00:00:00:0b")
        end.route(network, *(("via", gateway) if ethernet else ()))


@pytest.mark.parametrize("way", LINK)
async def test_a_next_hop_with_another_mac_is_sent_to_by_it(way: str) -> None:
    """As when a standby router takes over."""
    with scripted([answer()]) as (end, script):
        async with engine(way, end) as one, one.client() as client, standing(client, SPEC, TARGETS) as job:
            await job.wait("answered", 30)
            for gateway in ("10.99.0.2", "fd99::2"):
                end.neighbour(gateway, "02:00:00:00:00:77")
            await until(lambda: any(mac.endswith(b"\x77") for _, mac in list(script.heard)))
            script.heard.clear()
            await job.wait("answered", 60)
            macs = {mac for _, mac in script.heard}
    end_of_nothing(job)
    assert bytes.fromhex("020000000077") in macs
