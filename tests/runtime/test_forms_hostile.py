"""Forms that somebody else, nobody, an agent or a machine fills in: each abuse ends in words or in nothing, cheaply.

The first five are traps of slixmpp's own handler: who goes on is not compared with who began, sessions are kept for
ever, everything is listed to everybody, and what breaks is told to the peer.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from amon.access import Authority, Policy
from amon.access.rules import Rule
from amon.command.grammar import Offered
from amon.runtime.forms import Forms
from amon.runtime.formsession import LIFE, MOST, MOST_OF_ONE
from amon.xmpp.commands import Asked, Fault
from amon.xmpp.names import COMMANDS
from tests.runtime.filler import Filler, entry, fault, said, stage
from tests.runtime.scene import AGENTS, ALICE, BOB, EVE, POLICY, Site, door, raises, site


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path) as lab:
        yield lab


@pytest.fixture
async def alice(lab: Site) -> Filler:
    return Filler(lab, door())


async def at_the_yes(alice: Filler) -> None:
    """One step before something is done."""
    await alice.begin("lab restart")
    await alice.go_on(what="httpd")


# --- T1, T2: whose it is


@pytest.mark.parametrize("action", ["next", "prev", "complete", "execute", "cancel"])
async def test_nobody_else_goes_on_with_a_form_even_knowing_its_id(alice: Filler, action: str) -> None:
    await at_the_yes(alice)
    for thief in (alice.other(BOB), alice.other(ALICE, "phone")):
        reply = await thief.do(action, confirm="true")  # type: ignore[arg-type]
        assert isinstance(reply, Fault)
        assert (reply.condition, reply.special) == ("item-not-found", "bad-sessionid")
    assert alice.lab.log == ["plan httpd"]
    await alice.go_on(confirm="true")
    assert alice.lab.log == ["plan httpd", "restart httpd"]


async def test_an_id_of_another_is_answered_as_one_that_never_was(alice: Filler) -> None:
    await at_the_yes(alice)
    bob = alice.other(BOB)
    stolen = await bob.do("complete", confirm="true")
    bob.session = "never-was"
    assert await bob.do("complete", confirm="true") == stolen


async def test_ids_cannot_be_guessed_from_others(alice: Filler) -> None:
    ids = {(await alice.begin("lab look")).session for _ in range(50)}
    assert len(ids) == 50
    assert min(map(len, ids)) >= 20


async def test_a_form_does_not_go_on_under_the_name_of_another_command(alice: Filler) -> None:
    await at_the_yes(alice)
    alice.node = "lab wipe"
    assert fault(await alice.do("complete", confirm="true")) == "item-not-found"
    assert alice.lab.log == ["plan httpd"]


async def test_each_stage_asks_the_policy_of_the_moment(alice: Filler) -> None:
    nobody_may = Authority(Policy(observer=(ALICE,), rate=0), AGENTS)
    await at_the_yes(alice)
    alice.forms._door.authority = nobody_may
    done = stage(await alice.do("complete", confirm="true"))
    assert done.status == "completed"
    assert done.note is not None
    assert done.note[1].startswith("refused: this needs role operator")
    assert alice.lab.log == ["plan httpd"]
    assert (await alice.lab.audit())[-1].endswith("lab restart: refused")
    alice.forms._door.authority = Authority(POLICY, AGENTS)
    assert fault(await alice.do("complete", confirm="true")) == "item-not-found"


@pytest.mark.parametrize("action", ["prev", "execute"])
async def test_who_is_nobody_any_more_hears_what_strangers_do(alice: Filler, action: str) -> None:
    await at_the_yes(alice)
    alice.forms._door.authority = Authority(Policy(observer=(BOB,)), AGENTS)
    assert fault(await alice.do(action, confirm="true")) == "service-unavailable"  # type: ignore[arg-type]
    alice.forms._door.authority = Authority(POLICY, AGENTS)
    assert fault(await alice.do("complete", confirm="true")) == "item-not-found"
    assert alice.lab.log == ["plan httpd"]


async def test_values_that_a_rule_keeps_from_him_are_refused_by_a_form_too(lab: Site) -> None:
    rule = Rule((BOB,), ("lab restart",), {"what": "httpd"})
    bob = Filler(lab, door(Policy(admin=(ALICE,), allow=(rule,), rate=0)), by=BOB)
    await bob.begin("lab restart")
    again = await bob.go_on(what="sshd")
    assert again.status == "executing"
    assert again.note is not None
    assert "only with what httpd" in again.note[1]
    assert "would restart httpd" in said(await bob.go_on(what="httpd"))
    assert lab.log == ["plan httpd"]


# --- T3: how long and how many


async def test_a_form_that_nobody_touches_ends(alice: Filler) -> None:
    await at_the_yes(alice)
    alice.lab.clock.advance(LIFE - 1)
    assert stage(await alice.do("complete", confirm="no")).status == "executing"
    alice.lab.clock.advance(LIFE + 1)
    assert fault(await alice.do("complete", confirm="true")) == "item-not-found"
    assert len(alice.forms.sessions) == 0
    assert alice.lab.log == ["plan httpd"]


async def test_who_begins_again_and_again_loses_only_his_own(alice: Filler) -> None:
    await at_the_yes(alice)
    bob = alice.other(BOB)
    for _ in range(100):
        await bob.begin("lab look")
    assert len(alice.forms.sessions) == MOST_OF_ONE + 1
    await alice.go_on(confirm="true")
    assert alice.lab.log == ["plan httpd", "restart httpd"]


async def test_a_crowd_cannot_fill_the_memory(lab: Site) -> None:
    alice = Filler(lab, door(Policy(observer=("*@example.org",), rate=0)))
    for number in range(2 * MOST):
        await alice.other(f"p{number}@example.org").begin("lab look")
    assert len(alice.forms.sessions) == MOST


# --- T4: who sees what


async def test_everybody_sees_what_he_may_ask_for_and_nothing_else(lab: Site) -> None:
    few = (Rule((BOB,), ("lab look", "status", "complete")), Rule((ALICE,), ("lab *",)))
    bob = Filler(lab, door(Policy(allow=few, rate=0)), by=BOB)
    assert await bob.names() == ["status", "lab look"]  # `complete` is for programs
    assert await bob.other(ALICE).names() == ["lab look", "lab restart", "lab unlock", "lab wipe"]


async def test_where_there_are_many_an_instance_begins_with_the_choice_of_what_he_may(alice: Filler) -> None:
    listed = await alice.names()
    assert "lab" in listed
    assert len(listed) <= 12
    options = [value for value, _ in entry(await alice.begin("lab"), "command").options]
    assert options == ["(none)", "look", "restart", "unlock"]  # to wipe is the owner's
    assert "choose one of these" in said(await alice.go_on(command="wipe"))
    shown = await alice.go_on(command="restart")
    assert shown.actions == ("next", "prev")
    assert entry(stage(await alice.do("prev")), "command").kind == "list-single"
    await alice.go_on(command="restart")
    await alice.go_on(what="httpd")
    await alice.go_on(confirm="1")
    assert alice.lab.log == ["plan httpd", "restart httpd"]


@pytest.mark.parametrize("who", [EVE, f"desy@{AGENTS}", f"cern@{AGENTS}"])
async def test_a_stranger_or_an_agent_hears_what_he_would_where_there_is_no_agent(alice: Filler, who: str) -> None:
    eve = alice.other(who)
    nothing = Fault("service-unavailable")
    for kind in ("list", "about", "do"):
        for node in (COMMANDS, "whoami", "no such thing"):
            assert await eve.reply(Asked(kind, who, f"{who}/x", "1", node)) == nothing
    assert await eve.reply(replace(Asked("do", who, f"{who}/x", "1", "whoami"), fault="too large")) == nothing
    assert len(alice.forms.sessions) == 0


async def test_a_stranger_who_tries_is_written_down_like_one_who_types(alice: Filler) -> None:
    eve = alice.other(EVE)
    eve.node, eve.session = "whoami", ""
    await eve.do()
    assert await alice.lab.audit() == [f"{EVE} whoami: refused"]
    for _ in range(200):
        await eve.do()
    assert len(await alice.lab.audit()) <= 20


async def test_what_somebody_may_not_have_is_refused_in_words_and_written_down(alice: Filler) -> None:
    bob = alice.other(BOB)
    shown = await bob.begin("lab restart")
    assert shown.status == "completed"
    assert not shown.entries
    assert shown.note is not None
    assert shown.note[1].startswith("refused: this needs role operator; bob@example.org is observer here")
    assert await alice.lab.audit() == [f"{BOB} lab restart: refused"]


async def test_about_a_command_one_hears_only_what_the_list_would_say(alice: Filler) -> None:
    async def about(by: str, node: str) -> bool:
        return not isinstance(await alice.reply(Asked("about", by, f"{by}/x", "1", node)), Fault)

    assert await about(ALICE, "lab restart")
    assert not await about(BOB, "lab restart")
    assert not await about(ALICE, "no such thing")
    assert await about(BOB, COMMANDS)


@pytest.mark.parametrize("node", ["", "no such thing", "lab", "__init__", "lab _restart", "Lab Restart", COMMANDS])
async def test_a_node_is_a_command_or_nothing(alice: Filler, node: str) -> None:
    alice.node, alice.session = node, ""
    reply = await alice.do()
    if node == "lab":  # all of an instance: the choice of a command
        assert entry(stage(reply), "command").kind == "list-single"
    else:
        assert fault(reply) == "item-not-found"
    assert alice.lab.log == []


# --- T6: what breaks


class Broken:
    """A node that breaks where it is asked what it offers."""

    def __init__(self, lab: Site) -> None:
        self.dispatch, self.clock, self.candidates = lab.node.dispatch, lab.node.clock, lab.node.candidates

    def offered(self) -> Offered:
        raise RuntimeError("xyzzy")


async def test_a_bug_of_ours_is_told_by_its_number_alone(lab: Site) -> None:
    alice = Filler(lab, forms=Forms(Broken(lab), door(), lambda work: None))
    alice.node = "whoami"
    for asked in (alice.asked(), replace(alice.asked(), kind="list")):
        reply = await alice.reply(asked)
        assert isinstance(reply, Fault)
        assert reply.condition == "internal-server-error"
        assert "xyzzy" not in reply.text
        assert "incident" in reply.text


async def test_a_bug_of_a_module_is_a_result(alice: Filler) -> None:
    alice.lab.lab.body = raises(RuntimeError("xyzzy"))
    await alice.begin("lab look")
    done = await alice.go_on(what="all")
    assert done.status == "completed"
    assert "bug in lab look, incident" in said(done)
    assert "xyzzy" not in said(done)


# --- what is filled in


async def test_fields_that_nobody_asked_for_are_nothing(alice: Filler) -> None:
    await alice.begin("lab look")
    values: dict[str, tuple[str, ...]] = {
        "what": ("all",),
        "self": ("x",),
        "call": ("x",),
        "dry_run": ("1",),
        "__class__": ("x",),
        "confirm": ("1",),
    }
    done = stage(await alice.reply(alice.asked("complete", values)))
    assert done.status == "completed"
    assert alice.lab.log == ["look all"]


@pytest.mark.parametrize(
    "value",
    ["x" * 8_000, "a b", '" --what="', "\u202e", "a\nb", "\x00", "=", "what=other", "\\", "'", "x;y", "a, b"],
)
async def test_a_hostile_value_is_refused_with_the_form(alice: Filler, value: str) -> None:
    await alice.begin("lab look")
    again = await alice.go_on(what=value)
    assert again.status == "executing"
    assert again.note is not None
    assert again.note[0] == "error"
    assert alice.lab.log == []


@pytest.mark.parametrize("value", ["--dry-run", "--json", "--", "@all", "-x", "yes", "ok"])
async def test_what_would_be_an_option_or_a_target_when_typed_is_a_value_in_a_field(alice: Filler, value: str) -> None:
    await alice.begin("lab look")
    assert (await alice.go_on(what=value)).status == "completed"
    assert alice.lab.log == [f"look {value}"]


async def test_more_than_a_line_can_say_is_refused_and_not_kept(alice: Filler) -> None:
    await alice.begin("lab unlock")
    reply = await alice.do("complete", token="x" * 60_000)
    assert isinstance(reply, Fault)
    assert "at most 8192 are taken" in reply.text
    (session,) = alice.forms.sessions._all.values()
    assert session.given == {}
    assert (await alice.go_on(token="plugh")).status == "completed"


async def test_several_values_of_one_field_are_not_several_arguments(alice: Filler) -> None:
    await alice.begin("lab look")
    again = stage(await alice.reply(alice.asked("complete", {"what": ("all", "of", "it")})))
    assert again.status == "executing"
    assert alice.lab.log == []


async def test_a_form_that_could_not_be_read_is_answered_in_words_and_stays(alice: Filler) -> None:
    await at_the_yes(alice)
    asked = replace(alice.asked("complete"), fault="this form has more than 100 fields")
    reply = await alice.reply(asked)
    assert isinstance(reply, Fault)
    assert (reply.condition, reply.text) == ("bad-request", "this form has more than 100 fields")
    await alice.go_on(confirm="true")
    assert alice.lab.log == ["plan httpd", "restart httpd"]


@pytest.mark.parametrize("action", ["next", "prev", "complete", "cancel"])
async def test_a_step_without_a_form_before_it_is_nothing(alice: Filler, action: str) -> None:
    alice.node, alice.session = "lab restart", ""
    assert fault(await alice.do(action, what="httpd", confirm="1")) == "item-not-found"  # type: ignore[arg-type]
    assert alice.lab.log == []


# --- storms


async def test_a_storm_of_requests_is_answered_with_wait_and_keeps_nobody_else_out(alice: Filler) -> None:
    bob = alice.other(BOB)
    bob.node, bob.session = "lab look", ""
    replies = [await bob.reply(bob.asked()) for _ in range(400)]
    refused = [one for one in replies if isinstance(one, Fault)]
    assert len(refused) == 160
    assert {(one.condition, one.kind) for one in refused} == {("resource-constraint", "wait")}
    assert (await alice.begin("whoami")).status == "completed"
    alice.lab.clock.advance(61)
    assert stage(await bob.reply(bob.asked())).status == "executing"


async def test_the_same_step_many_times_at_once_is_done_once(alice: Filler) -> None:
    await at_the_yes(alice)
    steps = [asyncio.create_task(alice.do("complete", f"s{n}", confirm="true")) for n in range(50)]
    replies = await asyncio.gather(*steps)
    assert sum(not isinstance(one, Fault) for one in replies) == 1
    assert alice.lab.log == ["plan httpd", "restart httpd"]


async def test_what_a_policy_allows_in_a_minute_holds_for_forms_too(lab: Site) -> None:
    alice = Filler(lab, door(Policy(observer=(ALICE,), rate=3)))
    for _ in range(3):
        await alice.begin("lab look")
        assert (await alice.go_on(what="all")).status == "completed"
    await alice.begin("lab look")
    again = await alice.go_on(what="all")
    assert again.note is not None
    assert "has made 3 requests within a minute" in again.note[1]
    assert lab.log == ["look all"] * 3
