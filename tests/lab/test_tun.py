"""The scripted network does what the script says, as ping(8) sees it."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.lab.namespaces import needs_root, needs_tun
from tests.lab.tun import Fate, address, answer, behind, one_in, router, scripted, silent, unreachable

pytestmark = [pytest.mark.lab, needs_root, needs_tun]
FATES: list[Fate] = [answer(), silent(), answer(times=2), unreachable(1), behind(2, answer()), one_in(3)]


def ping(place: int, family: int, *, ethernet: bool, more: tuple[str, ...] = ()) -> str:
    with scripted(FATES, ethernet=ethernet) as (end, _):
        argv = [*end.space.words, "ping", "-n", "-c3", "-i0.01", "-W0.3", *more, address(family, place, 7)]
        return subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False).stdout


@pytest.mark.parametrize("ethernet", [True, False], ids=["tap", "tun"])
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    ("place", "said"), [(0, "3 received"), (1, "0 received"), (2, r"\+[23] duplicates"), (3, r"\+3 errors")]
)
def test_each_fate_is_what_ping_sees(place: int, said: str, family: int, ethernet: bool) -> None:
    assert re.search(said, ping(place, family, ethernet=ethernet))


@pytest.mark.parametrize("family", [4, 6])
def test_routers_say_that_the_time_is_exceeded(family: int) -> None:
    said = ping(4, family, ethernet=True, more=("-t", "2"))
    assert router(family, 2) in said
    assert "+3 errors" in said
    assert "3 received" in ping(4, family, ethernet=True, more=("-t", "3"))


def test_a_rate_limit_lets_the_first_of_three_through() -> None:
    assert "1 received" in ping(5, 4, ethernet=False)


def test_nothing_of_it_stays() -> None:
    before = set(Path("/proc/self/fd").iterdir())
    with scripted(FATES):
        pass
    assert set(Path("/proc/self/fd").iterdir()) == before
