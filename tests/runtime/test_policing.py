"""Policies of the whole fleet: anybody may bring one, what they say decides, and the audit has it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from amon.errors import Failed, Refused
from amon.runtime.policing import PolicyFront
from amon.testing import FakeClock
from amon.wire import Ended, NewPolicy
from amon.words import Asker
from tests.runtime.scene import ALICE, DOOR, EVE, Site, site

NEW = NewPolicy("01JD8M5W8X1V6Q2R3S4T5V6W7X", "serial = 7", "c2ln")


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path, clock=FakeClock(1_000_000)) as lab:
        yield lab


class Holder:
    """Takes policies, or raises what it is told to."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.taken: list[tuple[bytes, str]] = []
        self._fault = fault

    def accept(self, text: bytes, sig: str) -> str:
        self.taken.append((text, sig))
        if self._fault is not None:
            raise self._fault
        return "policy 7 is in force"


async def brought(lab: Site, holder: Holder | None, by: str = EVE) -> Ended:
    front = PolicyFront(DOOR, lab.node.dispatch, lab.clock, holder.accept if holder else None)
    return await front.received(NEW, Asker(by, f"{by}/desk"))


async def test_the_exact_text_and_its_signature_are_handed_on_whoever_brings_them(lab: Site) -> None:
    holder = Holder()
    ended = await brought(lab, holder)
    assert (ended.id, ended.state, ended.text) == (NEW.id, "done", "policy 7 is in force")
    assert holder.taken == [(b"serial = 7", "c2ln")]
    assert await lab.audit() == [f"{EVE} policy 7 is in force: done"]


@pytest.mark.parametrize(("fault", "state"), [(Refused("older than 8"), "refused"), (Failed("disk full"), "failed")])
async def test_why_it_is_not_taken_is_told_and_written_down(lab: Site, fault: Exception, state: str) -> None:
    ended = await brought(lab, Holder(fault), ALICE)
    assert (ended.state, ended.text) == (state, str(fault))
    (line,) = await lab.journal.recent(10)
    assert (line.allowed, line.outcome) == (False, state)


async def test_a_site_without_an_organisation_says_so(lab: Site) -> None:
    ended = await brought(lab, None)
    assert ended.state == "refused"
    assert "`organisation`" in ended.text


async def test_nobody_keeps_a_site_busy_with_policies(lab: Site) -> None:
    holder = Holder(Refused("not signed by us"))
    front = PolicyFront(DOOR, lab.node.dispatch, lab.clock, holder.accept)
    for _ in range(100):
        await front.received(NEW, Asker(EVE, f"{EVE}/desk"))
    assert len(holder.taken) == len(await lab.journal.recent(1000)) == 6
    assert (await front.received(NEW, Asker(ALICE, f"{ALICE}/desk"))).text == "not signed by us"


async def test_strangers_with_many_addresses_do_not_keep_a_policy_out(lab: Site) -> None:
    holder = Holder(Refused("not signed by us"))
    front = PolicyFront(DOOR, lab.node.dispatch, lab.clock, holder.accept)
    for number in range(1100):
        await front.received(NEW, Asker(f"eve{number}@evil.example", "eve@evil.example/desk"))
    assert len(holder.taken) == len(await lab.journal.recent(1000)) == 6
    assert (await front.received(NEW, Asker(ALICE, f"{ALICE}/desk"))).text == "not signed by us"
