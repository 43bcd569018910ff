"""The limits of the printed configurations: slowed beyond them, nothing lost, and not felt below them.

`python -m tests.servers.load` measures the same at length, side by side with servers without limits.
"""

import time
from pathlib import Path

import pytest

from admin_console.server.limits import Limits, limits
from tests.clients.plain import logged_in
from tests.servers.printed import ALICE, PASSWORD, SITES, Server, own

BODY = "x" * 10_000
COUNT = 60


def smaller(text: str) -> str:
    """An allowance of 200 kB, refilled at 200 kB a second, in place of that of a fleet."""
    big = limits(100)
    text = text.replace(f"local burst, rate = {big.burst}, {big.rate}", "local burst, rate = 200000, 200000")
    return text.replace(f"rate: {big.rate}\n    burst_size: {big.burst}", "rate: 200000\n    burst_size: 200000")


async def sent(server: Server) -> tuple[float, list[str]]:
    """Seconds until all messages of a site had come to a person, and what came."""
    for jid in (ALICE, SITES[0]):
        await server.add_account(jid, PASSWORD)
    way = (PASSWORD, server.host, server.tls_port, server.ca_file)
    async with logged_in(ALICE, *way, direct=True) as alice, logged_in(SITES[0], *way, direct=True) as site:
        began = time.perf_counter()
        for number in range(COUNT):
            site.say(ALICE, f"{number} {BODY}")
        came = [(await alice.next_message())["body"] for _ in range(COUNT)]
        return time.perf_counter() - began, came


@pytest.mark.timeout(90)
async def test_beyond_the_limit_a_connection_is_slowed_and_nothing_is_lost(tmp_path: Path, program: str) -> None:
    wanted = [f"{number} {BODY}" for number in range(COUNT)]
    async with own(program, tmp_path / "wide") as server:
        quick, came = await sent(server)
        assert came == wanted
    async with own(program, tmp_path / "narrow", change=smaller) as server:
        slow, came = await sent(server)
        assert came == wanted
    # 600 kB, of which 200 kB at once: two seconds for the rest.
    assert slow > 1.5, f"{slow:.2f} s with limits of 200 kB, {quick:.2f} s with those of a fleet"
    assert quick < slow / 2, f"{slow:.2f} s with limits of 200 kB, {quick:.2f} s with those of a fleet"


@pytest.mark.parametrize("sites", [1, 100, 1000, 20_000])
def test_the_largest_request_to_every_site_goes_out_at_once(sites: int) -> None:
    bounds = limits(sites)
    assert bounds.burst >= sites * 64 * 1024
    assert bounds.occupants > sites
    assert bounds.queue >= 2 * sites


def test_the_arithmetic_is_that_of_the_numbers() -> None:
    assert limits(100) == Limits(64 << 20, 2 << 20, 5000, 300, 4096, limits(100).why)
    assert "100 x 64 KiB = 6.2 MiB" in " ".join(limits(100).why)
    assert "64 MiB at once" in " ".join(limits(100).why)
