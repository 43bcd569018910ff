"""Much of it: bombs, ten thousand refusals, programs that answer each other. The agent stays up, small and in time."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing

import pytest

from amon.xmpp import names
from tests.e2e.world import BOB, World
from tests.security.attacker import Attacker
from tests.security.siege import AGENT, EVE, FULL, Siege, besieged, chat, payload, request, session

pytestmark = pytest.mark.timeout(300)
_MANY = 10_000
_MOST_GROWTH = 12 * 1024 * 1024  # bytes; what ten thousand refusals may leave behind
_MOST_LINES = 100  # of the audit, for one who is refused in the course of a minute or two


@pytest.fixture
async def siege(world: World) -> AsyncIterator[Siege]:
    async with besieged(world) as made, made.proven(made.control):
        yield made


BOMBS = {
    "too long a line": chat("mark " + "x" * 600_000),
    "too long a payload": payload("x" * 200_000),
    "a payload too deep": payload('{"v":1,"body":"' + "[" * 60_000 + '"}'),
    "elements too deep": chat("hello", "<a xmlns='u'>" * 500 + "</a>" * 500),
    "too many elements": chat("hello", "<a xmlns='u'/>" * 20_000),
    "too many attributes": chat("hello", "<a xmlns='u' " + " ".join(f"a{n}='x'" for n in range(200)) + "/>"),
    "a target too deep": chat("mark x @" + "(" * 4_000 + "cern" + ")" * 4_000),
    "letters that become many": chat("mark " + "\ufdfa" * 8_000),
    "stars": chat("mark x @" + "*a" * 2_000),
    "quotes": chat("mark " + "\"'" * 4_000),
}


async def test_no_bomb_hurts_the_agent(siege: Siege) -> None:
    before = siege.agent.memory()
    for who in (siege.eve, siege.alice):
        for name, xml in BOMBS.items():
            await siege.attempt(name, who, xml)
    assert siege.effects() == []
    assert siege.agent.memory() - before < 4 * _MOST_GROWTH


async def test_ten_thousand_refused_requests_leave_nothing_behind(siege: Siege) -> None:
    await pour(siege, siege.eve, 2_000)  # what it takes once for all, it has taken then
    before = siege.agent.memory()
    await pour(siege, siege.eve, _MANY)
    assert siege.agent.memory() - before < _MOST_GROWTH
    assert await audit_lines(siege, EVE) < _MOST_LINES
    assert siege.effects() == []


async def pour(siege: Siege, who: Attacker, count: int) -> None:
    """Half of them typed; the server is waited for now and then, so that its own limits do not help."""
    for number in range(count):
        line = f"mark attempt-{number}"
        who.pour(payload(request(line, siege.new_id())) if number % 2 else chat(line))
        if number % 100 == 99:
            await siege.attempt(f"{number + 1} refused", who, chat(line))
            who.heard.clear()


async def audit_lines(siege: Siege, asker: str) -> int:
    """How many lines of the site's audit are about them; the agent is stopped for it, so that all is written."""
    await siege.agent.stop()
    with closing(sqlite3.connect(siege.agent.folder / "state" / "journal.db")) as journal:
        found: int = journal.execute("SELECT count(*) FROM audit WHERE asker = ?", (asker,)).fetchone()[0]
    await siege.start()
    return found


@pytest.mark.parametrize("who", ["a stolen agent", "somebody who may look"])
async def test_two_programs_that_answer_each_other_fall_silent(siege: Siege, who: str) -> None:
    async with session(siege.world, BOB) as bob:
        echo = siege.thief if who == "a stolen agent" else bob
        said = await insults(siege, echo)
    assert said <= (0 if who == "a stolen agent" else 100)
    assert siege.effects() == []


async def insults(siege: Siege, echo: Attacker) -> int:
    """Says back whatever the agent says, until it says no more; how often it did."""
    text, answered = "I do not understand that", 0
    while answered <= 1_000:
        await siege.attempt("an answer to an answer", echo, chat(text))
        texts = [one.findtext(names.BODY) or "" for one in echo.heard if (one.get("from") or "").startswith(AGENT)]
        echo.heard.clear()
        if not any(texts):
            return answered
        text, answered = next(filter(None, texts)), answered + 1
    return answered


async def test_the_agent_never_answers_an_error_or_its_own_words(siege: Siege) -> None:
    gone = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    for who in (siege.eve, siege.alice):
        for xml in (
            chat("help", gone, kind="error"),
            chat("help", kind="headline"),
            chat("help", more=f"from='{FULL}'"),
        ):
            tried = await siege.attempt("what nobody answers", who, xml)
            assert tried.back == [] or "from=" in xml
