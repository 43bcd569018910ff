"""Requests and answers: an answer counts only from where it was asked, and strangers learn nothing."""

import asyncio
from random import Random
from xml.etree.ElementTree import Element, fromstring

import pytest

from amon.xmpp import names
from amon.xmpp.backoff import Backoff
from amon.xmpp.faults import StanzaError
from amon.xmpp.requests import Requests, answer

ME = "cern@agents.amon.test"


async def ask(to: str | None, answers: list[str]) -> Element:
    """The answer that counts among those that come; `ID` stands for the right id."""
    requests = Requests(ME)

    def post(iq: Element) -> None:
        for text in answers:
            requests.answered(fromstring(text.replace("ID", iq.get("id", ""))))

    return await requests.ask(post, to, "get", Element(names.PING), 0.05)


@pytest.mark.parametrize(
    ("to", "sender"),
    [
        ("alice@amon.test/x", "from='alice@amon.test/x'"),
        ("alice@amon.test/x", "from='Alice@AMON.test/x'"),
        ("ops@rooms.amon.test", "from='ops@rooms.amon.test'"),
        (None, ""),
        (None, f"from='{ME}'"),
        (None, f"from='{ME}/amon'"),
        (None, "from='agents.amon.test'"),
    ],
)
async def test_the_answer_of_who_was_asked_counts(to: str | None, sender: str) -> None:
    assert (await ask(to, [f"<iq type='result' id='ID' {sender}/>"])).get("type") == "result"


@pytest.mark.parametrize(
    ("to", "sender"),
    [
        ("alice@amon.test/x", "from='eve@amon.test/x'"),
        ("alice@amon.test/x", "from='alice@amon.test'"),
        ("alice@amon.test/x", ""),
        (None, "from='eve@amon.test'"),
        (None, "from='amon.test'"),
    ],
)
async def test_the_answer_of_another_does_not(to: str | None, sender: str) -> None:
    with pytest.raises(StanzaError) as caught:
        await ask(to, [f"<iq type='result' id='ID' {sender}/>", "<iq type='result' id='guessed'/>"])
    assert caught.value.condition == "timeout"


async def test_an_error_has_its_condition_and_words() -> None:
    error = f"<error><forbidden xmlns='{names.STANZAS}'/></error>"
    text = f"<iq type='error' id='ID' from='a@b' xmlns='jabber:client'>{error}</iq>"
    with pytest.raises(StanzaError, match="a@b: not allowed for this account") as caught:
        await ask("a@b", [text])
    assert caught.value.condition == "forbidden"


async def test_the_end_of_the_session_ends_what_waits() -> None:
    requests = Requests(ME)
    task = asyncio.create_task(requests.ask(lambda iq: None, "a@b", "get", Element(names.PING), 60))
    await asyncio.sleep(0)
    requests.abandon()
    with pytest.raises(StanzaError) as caught:
        await task
    assert caught.value.condition == "offline"


def reply(text: str, trusted: bool = False) -> Element:
    return answer(fromstring(text), ME, {"tag": ("tier=1",)}, trusted)


def test_everybody_may_ping() -> None:
    made = reply("<iq type='get' id='1' from='eve@amon.test/x'><ping xmlns='urn:xmpp:ping'/></iq>")
    assert (made.get("type"), made.get("to"), made.get("id")) == ("result", "eve@amon.test/x", "1")


INFO = "<iq type='get' id='1' from='alice@amon.test/x'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"


def test_what_we_are_is_told_to_who_may_see_us() -> None:
    assert reply(INFO, trusted=True).get("type") == "result"
    assert reply(INFO).get("type") == "error"


@pytest.mark.parametrize(
    "text",
    [
        "<iq type='get' id='1' from='eve@amon.test'/>",
        "<iq type='get' id='1' from='eve@amon.test'><query xmlns='jabber:iq:version'/></iq>",
        "<iq type='set' id='1' from='eve@amon.test'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<iq type='set' id='1' from='eve@amon.test'><query xmlns='jabber:iq:roster'><item jid='e@a'/></query></iq>",
        "<iq type='get' id='1' from='a@b'><command xmlns='http://jabber.org/protocol/commands' node='x'/></iq>",
        INFO.replace("disco#info'/>", "disco#info' node='x'/>"),
    ],
)
def test_whatever_else_is_asked_is_not_available(text: str) -> None:
    made = reply(text, trusted=True)
    assert made.get("type") == "error"
    assert made[0][0].tag.endswith("service-unavailable")


def test_a_push_of_our_own_contacts_is_confirmed() -> None:
    push = "<iq type='set' id='1'><query xmlns='jabber:iq:roster'><item jid='a@b'/></query></iq>"
    assert reply(push).get("type") == "result"


def test_waits_double_up_to_a_limit_and_start_anew() -> None:
    backoff = Backoff(5, 300, Random(1))
    waits = [backoff.next() for _ in range(10)]
    for number, wait in enumerate(waits):
        whole = min(300, 5 * 2**number)
        assert whole / 2 <= wait <= whole
    backoff.reset()
    assert backoff.next() <= 5


def test_a_fleet_does_not_come_back_as_one() -> None:
    waits = {round(Backoff(5, 300, Random(seed)).next(), 1) for seed in range(200)}
    assert len(waits) > 20
