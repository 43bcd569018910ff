"""Everything that is known to have worked against others, tried against a live agent: N attempts, no effect.

The log of attempts is shown with `pytest -s`. A scene begins and ends with orders that have their effect: else nothing
would be proven.
"""

from collections.abc import AsyncIterator

import pytest

from amon.wire import Fetch, encode
from amon.xmpp import names
from tests.e2e.world import ALICE, World
from tests.security.attacks import ATTACKS
from tests.security.siege import AGENT, FULL, Siege, besieged, chat, payload, request, session

pytestmark = pytest.mark.timeout(240)
_COMMANDS = "http://jabber.org/protocol/commands"
# Each looks like alice@amon.test to somebody, and is not. The first letter of the first one is Cyrillic.
_LOOK_ALIKES = (
    "\u0430lice@amon.test", "alice.@amon.test", "al\u0131ce@amon.test", "alice\\40amon.test@amon.test",
    "alice@agents.amon.test", "alice-amon.test@amon.test", "a-lice@amon.test",
)  # fmt: skip
_REQUESTS = {
    "an ad-hoc command": f"<command xmlns='{_COMMANDS}' node='mark' action='execute'/>",
    "the next stage of a command": f"<command xmlns='{_COMMANDS}' node='mark' sessionid='1' action='complete'/>",
    "the list of commands": f"<query xmlns='http://jabber.org/protocol/disco#items' node='{_COMMANDS}'/>",
    "what the agent is": "<query xmlns='http://jabber.org/protocol/disco#info'/>",
    "a roster push": "<query xmlns='jabber:iq:roster'><item jid='{me}' subscription='both'/></query>",
    "a payload in a request": "<amon xmlns='urn:amon:1'>{payload}</amon>",
    "a change of its password": "<query xmlns='jabber:iq:register'><password>x</password></query>",
    "a form": "<x xmlns='jabber:x:data' type='submit'><field var='mark'><value>{word}</value></field></x>",
    "its time": "<time xmlns='urn:xmpp:time'/>",
    "a private namespace": "<query xmlns='jabber:iq:private'><mark xmlns='u'>{word}</mark></query>",
}

# Who may ask is told what there is, and gets a form to fill in: that runs nothing yet.
_TOLD = {("get", "what the agent is"), ("get", "the list of commands"), ("set", "an ad-hoc command")}


@pytest.fixture
async def siege(world: World) -> AsyncIterator[Siege]:
    async with besieged(world) as made, made.proven(made.control):
        yield made


async def test_no_single_stanza_of_the_spoofing_table_has_an_effect(siege: Siege) -> None:
    who = {"alice": siege.alice, "eve": siege.eve, "thief": siege.thief}
    for attack in ATTACKS:
        await siege.attempt(attack.name, who[attack.by], attack.stanza(siege.word(), siege.new_id()))
    assert len(siege.attempts) >= 40
    assert siege.effects() == []


async def test_who_looks_like_an_admin_is_none(siege: Siege) -> None:
    for jid in _LOOK_ALIKES:
        await siege.make_account(jid)
        async with session(siege.world, jid) as double:
            word, ident = siege.word(), siege.new_id()
            await siege.attempt(f"as {jid!a}", double, chat(f"mark {word}"), payload(request(f"mark {word}", ident)))
    for resource in (ALICE, "helm", f"{AGENT}/agent"):
        async with session(siege.world, "eve@amon.test", resource) as eve:
            word, ident = siege.word(), siege.new_id()
            await siege.attempt(f"with the resource {resource}", eve, payload(request(f"mark {word}", ident)))
    assert siege.effects() == []


async def test_no_request_has_an_effect_and_strangers_learn_nothing(siege: Siege) -> None:
    for who in (siege.eve, siege.thief, siege.alice):
        for name, inner in _REQUESTS.items():
            for kind in ("get", "set"):
                word = siege.word()
                content = inner.replace("{payload}", request(f"mark {word}", siege.new_id())).replace("{word}", word)
                content = content.replace("{me}", who.jid.partition("/")[0])
                answer = await who.ask(f"<iq type='{kind}' to='{FULL}'>{content}</iq>")
                told = (kind, name) in _TOLD and who is siege.alice
                assert answer.get("type") == ("result" if told else "error"), name
                siege.note(f"{name}, {kind}", who, content, answer)
    assert siege.effects() == []


async def test_who_asks_to_see_the_agent_sees_it_only_if_the_policy_names_him(siege: Siege) -> None:
    for who in (siege.eve, siege.thief):
        for kind in ("subscribe", "subscribed", "probe"):
            await siege.attempt(f"presence {kind}", who, f"<presence to='{AGENT}' type='{kind}'/>")
        seen = [
            one for one in who.heard if one.tag == names.PRESENCE and (one.get("from") or "").startswith(f"{AGENT}/")
        ]
        assert [one for one in seen if one.get("type") is None] == []


async def test_a_captured_order_is_done_once_whoever_says_it_again_and_however_late(siege: Siege) -> None:
    (word,) = siege.expected(1)
    ident = siege.new_id()
    captured = request(f"mark {word}", ident)
    await siege.alice.say(payload(captured))
    first = await siege.outcome(siege.alice, ident)
    assert first.state == "done"
    await siege.attempt("exactly the captured order, by a stranger", siege.eve, payload(captured))
    await siege.attempt("exactly the captured order, by a stolen agent", siege.thief, payload(captured))
    await siege.attempt("exactly the captured order, by the admin's client", siege.alice, payload(captured))
    await siege.attempt("the captured order, by another client of the admin", siege.helm, payload(captured))
    await siege.attempt("its outcome, by a stranger", siege.eve, payload(encode(Fetch(ident))))
    await siege.attempt("its outcome, by a stolen agent", siege.thief, payload(encode(Fetch(ident))))
    other = request(f"mark {siege.word()}", ident)
    await siege.attempt("the captured order with another line", siege.alice, payload(other))
    for name, text in _altered(captured, f"mark {siege.word()}").items():
        await siege.attempt(name, siege.alice, payload(text))
    await siege.restart()
    await siege.attempt("the captured order after a restart", siege.alice, payload(captured))
    await siege.attempt("the captured order after a restart, by a stranger", siege.eve, payload(captured))
    assert siege.effects() == []


def _altered(captured: str, line: str) -> dict[str, str]:
    """The captured order as its finder might change it."""
    return {
        "the order with a field twice": captured.replace('\\"line\\":', f'\\"line\\":\\"{line}\\",\\"line\\":'),
        "the order with the body twice": captured.replace('"body":', '"body":"{}","body":', 1),
        "the order with an unknown field": captured.replace('\\"type\\":', '\\"by\\":\\"bob@amon.test\\",\\"type\\":'),
        "the order in another version": captured.replace('"v":1', '"v":2'),
        "the order with half a signature": captured.replace('"v":1', '"sig":"U1NIU0lH","v":1'),
        "the order without its end": captured[:-2],
    }
