"""Commands on the wire: what is read of a request, what an answer looks like, and who is told that there are any."""

import asyncio
import sys
from xml.etree.ElementTree import Element, fromstring

import pytest

from amon.xmpp import names
from amon.xmpp.commands import About, Asked, Entry, Fault, Nodes, Stage, answer, is_about_commands, read
from amon.xmpp.inbox import Inbox
from amon.xmpp.markup import masked, serialise
from amon.xmpp.room import Room
from tests.xmpp.party import ALICE, CERN, EVE, OPS, Ear

HERE = f"{CERN}/agent"
FORM = "<x xmlns='jabber:x:data' type='submit'>{}</x>"
DO = (
    "<iq type='set' id='7' xmlns='jabber:client' from='{}'>"
    "<command xmlns='http://jabber.org/protocol/commands' {}>{}</command></iq>"
)
ITEMS = f"<iq type='get' id='7' xmlns='jabber:client' from='{{}}'><query xmlns='{names.DISCO_ITEMS}' node='{{}}'/></iq>"
INFO = f"<iq type='get' id='7' xmlns='jabber:client' from='{{}}'><query xmlns='{names.DISCO_INFO}' {{}}/></iq>"
DESK = f"{ALICE}/desk"


def done(attributes: str = "node='whoami'", content: str = "", sender: str = DESK) -> Asked:
    iq = fromstring(DO.format(sender, attributes, content))
    assert is_about_commands(iq)
    return read(iq, ALICE, sender)


# --- reading


def test_a_request_is_read_with_its_form() -> None:
    fields = "<field var='name'><value>httpd</value></field><field var='many'><value>a</value><value/></field>"
    asked = done("node='service restart' sessionid='s1' action='next'", FORM.format(fields))
    values = {"name": ("httpd",), "many": ("a", "")}
    assert asked == Asked("do", ALICE, DESK, "7", "service restart", "next", "s1", values)


def test_to_say_nothing_is_to_execute() -> None:
    assert (done().action, done().session, done().values) == ("execute", "", None)


@pytest.mark.parametrize("kind", ["form", "result", "cancel", ""])
def test_only_what_is_submitted_is_filled_in(kind: str) -> None:
    form = FORM.format("<field var='confirm'><value>1</value></field>").replace("submit", kind)
    assert done(content=form).values is None


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("<field var='a'><value>1</value></field>" * 10_000, "more than 100 fields"),
        (f"<field var='a'>{'<value>1</value>' * 101}</field>", "more than 100 values"),
        (f"<field var='a'><value>{'x' * 70_000}</value></field>", "more than 64 KiB"),
        (f"<field var='{'x' * 70_000}'/>", "more than 64 KiB"),
    ],
)
def test_what_is_too_large_is_not_taken_and_said(form: str, words: str) -> None:
    asked = done(content=FORM.format(form))
    assert words in asked.fault
    assert not asked.values


@pytest.mark.parametrize("attributes", ["node='{}'", "node='x' sessionid='{}'"])
def test_names_are_bounded(attributes: str) -> None:
    asked = done(attributes.format("x" * 256))
    assert "longer than 255" in asked.fault
    assert (asked.node, asked.session) == ("", "")


@pytest.mark.parametrize("action", ["", "Execute", "run", "delete"])
def test_an_action_that_no_standard_has_is_not_guessed(action: str) -> None:
    assert done(f"node='x' action='{action}'").fault == "there is no such action"


def test_fields_without_a_name_are_nothing() -> None:
    assert done(content=FORM.format("<field><value>1</value></field><field var=''/><other/>")).values == {}


@pytest.mark.parametrize(
    "text",
    [
        ITEMS.format(DESK, "elsewhere"),
        INFO.format(DESK, ""),
        DO.format(DESK, "node='x'", "").replace("'set'", "'get'"),
        ITEMS.format(DESK, names.COMMANDS).replace("'get'", "'set'"),
        "<iq type='set' id='7' xmlns='jabber:client'/>",
    ],
)
def test_whatever_else_is_asked_is_left_to_others(text: str) -> None:
    assert not is_about_commands(fromstring(text))


# --- answering


def test_a_list_says_where_each_command_is() -> None:
    asked = Asked("list", ALICE, DESK, "7", names.COMMANDS)
    made = serialise(answer(asked, Nodes((("whoami", "who you are"),)), HERE))
    assert f'<item jid="{HERE}" node="whoami" name="who you are"/>' in made
    assert f'to="{DESK}"' in made


def test_a_command_is_described_as_one() -> None:
    made = serialise(answer(Asked("about", ALICE, DESK, "7", "whoami"), About("whoami"), HERE))
    assert '<identity category="automation" type="command-node" name="whoami"/>' in made


def test_a_stage_has_its_actions_its_note_and_its_fields() -> None:
    entries = (
        Entry("name", "list-single", "which", "a", (("a", "A"), ("b", "B")), required=True),
        Entry("count", label="how many", number=("xs:integer", 1, 10)),
        Entry("confirm", "boolean", "do it", "false"),
    )
    stage = Stage("x", "s1", "executing", ("error", "no <good>"), "title", "text", entries, ("complete", "prev"))
    made = serialise(answer(done(), stage, HERE))
    assert '<actions execute="complete"><prev/><complete/></actions>' in made
    assert '<note type="error">no &lt;good&gt;</note>' in made
    assert '<x xmlns="jabber:x:data" type="form"><title>title</title><instructions>text</instructions>' in made
    assert '<required/><value>a</value><option label="A"><value>a</value></option>' in made
    assert 'datatype="xs:integer"><range min="1" max="10"/>' in made


def test_an_end_has_no_actions_and_nothing_to_fill_in() -> None:
    made = serialise(answer(done(), Stage("x", "s1", "completed", None, "t", "", (Entry("row1", value="v"),)), HERE))
    assert "actions" not in made
    assert 'type="result"' in made


def test_no_list_ever_has_an_empty_value_which_ends_a_client() -> None:
    entry = Entry("name", "list-single", "which", "", (("a", "A"),))
    made = serialise(answer(done(), Stage("x", "s1", "executing", entries=(entry,), actions=("next",)), HERE))
    assert "<value/>" not in made


def test_a_fault_is_an_error_of_the_standard() -> None:
    made = answer(done(), Fault("item-not-found", "gone", special="bad-sessionid"), HERE)
    assert made.get("type") == "error"
    assert [part.tag.rpartition("}")[2] for part in made[0]] == ["item-not-found", "text", "bad-sessionid"]


def test_no_table_is_ever_drawn() -> None:
    """XEP-0004's `reported`: one client raises an exception at it, others show nothing."""
    rows = tuple(Entry(f"row{n}", value="v") for n in range(40))
    made = serialise(answer(done(), Stage("x", "s1", "completed", None, "t", "", rows), HERE))
    assert "reported" not in made


# --- who is told


class Desk:
    """An inbox of the agent, where alice may see it; `sent` is what went out, `heard` what its owner was told."""

    def __init__(self, served: bool = True) -> None:
        self.sent: list[Element] = []
        self.heard: list[Asked] = []
        self.inbox = Inbox(CERN, Ear(ALICE.__eq__), self.post)
        if served:
            self.inbox.commanded = self.heard.append
        room = Room(OPS, "cern")
        room.join("cern")
        self.inbox.rooms[OPS] = room
        for nick, jid in (("alice", DESK), ("eve", f"{EVE}/x")):
            user = f"<x xmlns='{names.MUC_USER}'><item jid='{jid}'/></x>"
            room.presence(fromstring(f"<presence xmlns='jabber:client' from='{OPS}/{nick}'>{user}</presence>"))

    def post(self, element: Element) -> bool:
        self.sent.append(element)
        return True

    def asks(self, text: str) -> str:
        self.inbox.iq(fromstring(text))
        return serialise(self.sent[-1]) if self.sent else ""


def test_commands_are_announced_to_who_may_see_us_and_not_through_a_room() -> None:
    assert names.COMMANDS in Desk().asks(INFO.format(DESK, ""))
    assert names.COMMANDS not in Desk().asks(INFO.format(f"{EVE}/x", ""))
    assert names.COMMANDS not in Desk().asks(INFO.format(f"{OPS}/alice", ""))
    assert names.COMMANDS not in Desk(served=False).asks(INFO.format(DESK, ""))


def test_a_request_goes_to_the_owner_with_who_asks() -> None:
    desk = Desk()
    desk.asks(DO.format(DESK, "node='whoami'", ""))
    assert desk.heard == [Asked("do", ALICE, DESK, "7", "whoami")]
    assert not desk.sent


@pytest.mark.parametrize(
    "text", [DO.format(f"{OPS}/alice", "node='whoami'", ""), ITEMS.format(f"{OPS}/alice", names.COMMANDS)]
)
def test_through_a_room_it_is_refused_in_words(text: str) -> None:
    desk = Desk()
    assert f"not through the room: use my address {CERN}" in desk.asks(text)
    assert not desk.heard


@pytest.mark.parametrize("who", ["eve", "nobody", ""])
def test_through_a_room_a_stranger_hears_of_no_commands(who: str) -> None:
    desk = Desk()
    made = desk.asks(DO.format(f"{OPS}/{who}" if who else OPS, "node='whoami'", ""))
    assert "service-unavailable" in made
    assert CERN not in made.replace(f'to="{CERN}"', "")
    assert not desk.heard


def test_an_account_that_serves_none_answers_as_before() -> None:
    desk = Desk(served=False)
    assert "service-unavailable" in desk.asks(DO.format(DESK, "node='whoami'", ""))
    assert "service-unavailable" in desk.asks(ITEMS.format(DESK, names.COMMANDS))


def test_nothing_of_a_form_stands_in_the_trace() -> None:
    came = fromstring(DO.format(DESK, "node='x' sessionid='plugh'", FORM.format("<field var='xyzzy'/>xyzzy")))
    stage = Stage("x", "plugh", "executing", ("info", "xyzzy"), "xyzzy", "xyzzy", (Entry("a", value="xyzzy"),))
    for element in (came, answer(done(), stage, HERE)):
        assert ">xyzzy" not in masked(element)
        assert "plugh" not in masked(element)


async def test_an_agent_that_is_never_asked_reads_no_code_of_forms() -> None:
    names = ("amon.runtime.forms", "amon.xmpp.commands")
    script = f"import sys; import amon.runtime.account; sys.exit(any(name in sys.modules for name in {names}))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script)
    assert await process.wait() == 0
