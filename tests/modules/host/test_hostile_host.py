"""Names that strangers on the host chose (processes, mounts, sensors, interfaces) are words in every answer."""

import asyncio
from xml.etree.ElementTree import Element, fromstring

import pytest

from amon.testing import FakeClock, stage
from amon.text import hidden
from amon.wire import Ended, decode, encode
from amon.xmpp import names
from amon.xmpp.markup import child, serialise
from modules.host.module import HostModule
from modules.host.settings import Settings
from modules.host.world import Heat, Link, Mount, Task, Traffic
from tests.modules.host.worlds import FakeWorld, full

# ESC, a closing tag and an entity of XML, a bidirectional override, a lone surrogate (bytes that are no UTF-8), what
# XML 1.0 forbids, a shell's and an option's signs.
EVIL = "--evil\x1b[2J</body><x/>&amp;]]>\u202e\udcff\ufffe\x00\n$(reboot)`;|"


def evil_world() -> FakeWorld:
    task = Task(7, EVIL, EVIL, 1.0, 2**20, 0.0)
    return FakeWorld(
        mounted=[Mount(f"/dev/{EVIL}", f"/{EVIL}", EVIL)], spaces={f"/{EVIL}": full(97)}, sensors=[Heat(EVIL, 99)],
        counters={EVIL: Traffic(1, 2)}, interfaces={EVIL: Link(True)}, processes=[[task], [task]],
    )  # fmt: skip


def plain(text: str) -> bool:
    return not any(hidden(character) and character != "\n" for character in text)


@pytest.mark.parametrize("what", ["summary", "disks", "network", "temperature"])
async def test_what_strangers_named_is_plain_text_in_answers_and_presence(what: str) -> None:
    async with stage(HostModule, Settings(), world=evil_world(), clock=FakeClock(1_000)) as site:
        outcome = await site.ask(f"host {what}")
        assert outcome.state == "done"
        assert plain(outcome.text)
        assert plain(site.presence.status)
        assert plain("".join(site.health.parts))
        _travels(outcome, site.presence.status)


def _travels(outcome: Ended, status: str) -> None:
    """In XML it is one text and comes out as it went in; in JSON nothing is lost."""
    payload = encode(outcome)
    message = Element(names.MESSAGE)
    child(message, names.BODY, outcome.text)
    child(message, names.AMON, payload)
    child(message, names.STATUS, status)
    back = fromstring(serialise(message, ""))
    assert [one.tag for one in back] == [names.BODY, names.AMON, names.STATUS]
    assert (back[0].text, back[2].text or "") == (outcome.text, status)
    assert decode(back[1].text or "") == outcome


async def test_a_process_that_calls_itself_a_command_is_a_row() -> None:
    clock = FakeClock(1_000)
    async with stage(HostModule, Settings(), world=evil_world(), clock=clock) as site:
        asking = asyncio.create_task(site.ask("host processes"))
        async with asyncio.timeout(5):
            await clock.wait_sleepers(4)
            clock.advance(1)
            outcome = await asking
    assert outcome.state == "done"
    assert plain(outcome.text)
    _travels(outcome, "")
