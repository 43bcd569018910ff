"""`audit` as admins ask for it: the lines with their hashes, in pages that fit, and nothing of other organisations."""

from dataclasses import replace
from typing import Any

import pytest

from amon.access import AuditRecord, Line, Link, verify_chain
from amon.errors import Failed
from amon.runtime.auditing import AuditModule
from amon.runtime.incoming import Incoming
from amon.store import Query
from amon.testing import FakeClock
from amon.wire import Ended
from amon.words import Asker
from tests.runtime.scene import ALICE, BOB, DOOR, EVE, Ear, Site

OLD = AuditRecord(1000.0, "lab", ALICE, None, "01J", "lab look what=all", True, "admin alice", "done")
_ALL = Query(count=1000)


async def ask(lab: Site, line: str = "audit", **more: Any) -> Ended:
    return (await lab.ask(line, **more)).last


def lines(outcome: Ended) -> list[Line]:
    """As a console reads them from what travelled."""
    read = []
    for one in outcome.data["lines"]:
        names = ("time", "account", "asker", "room", "id", "line", "allowed", "rule", "outcome", "key", "effect")
        record = None if one["digest"] else AuditRecord(**{name: one[name] for name in names})
        read.append(Line(one["seq"], record, one["digest"], one["hash"]))
    return read


def link(outcome: Ended, what: str) -> Link:
    return Link(outcome.data[f"{what}_seq"], outcome.data[f"{what}_hash"])


async def fill(lab: Site, count: int, **changes: Any) -> None:
    for number in range(count):
        await lab.journal.audit(replace(OLD, **{"id": f"id-{number}", **changes}))


async def test_accepted_and_refused_requests_stand_there_with_rule_outcome_and_place(lab: Site) -> None:
    await ask(lab, "restart httpd")
    await ask(lab, "look", by=EVE)
    await ask(lab, "restart httpd", by=BOB)
    told = await ask(lab)
    said = [(one.record.asker, one.record.line, one.record.outcome) for one in lines(told) if one.record]
    assert said == [
        (ALICE, "lab restart what=httpd", "accepted"),
        (ALICE, "lab restart what=httpd", "done"),
        (EVE, "lab look", "refused"),
        (BOB, "lab restart what=httpd", "refused"),
    ]
    assert verify_chain(lines(told), link(told, "anchor")).head == link(told, "head")
    assert [one.record.allowed for one in lines(told) if one.record] == [True, True, False, False]


async def test_it_is_for_admins_alone(lab: Site) -> None:
    assert (await ask(lab, by=BOB)).state == "refused"


async def test_secrets_are_masked_in_it(lab: Site) -> None:
    await ask(lab, "unlock hunter2")
    told = await ask(lab)
    assert "hunter2" not in str(told.data) + told.text
    assert "token=***" in told.text


async def test_what_was_not_said_does_not_stand_there(lab: Site) -> None:
    await ask(lab, "audit 2")
    await ask(lab, f"audit who={ALICE} --refused")
    said = [one.record.line for one in lines(await ask(lab)) if one.record]
    assert said == ["audit count=2", f"audit count=20 who={ALICE} refused=True"]


async def test_people_read_a_table_and_the_head(lab: Site) -> None:
    await fill(lab, 3)
    text = (await ask(lab, "audit 2")).text.splitlines()
    assert text[0].split() == ["line", "time", "(UTC)", "who", "what", "outcome", "rule"]
    assert text[1].startswith("   2  1970-01-01 00:16:40  alice@example.org  lab look what=all")
    head = (await lab.journal.page(_ALL)).lines[2]
    assert text[3] == f"the last line is 3, hash {head.hash}"
    assert (await ask(lab, "audit who=nobody@example.org")).text.startswith("no line fits\n")


async def test_a_hundred_lines_go_into_one_answer_and_it_says_how_to_go_on(lab: Site) -> None:
    await fill(lab, 250)
    told = await ask(lab, "audit 240")
    got, before = lines(told), link(told, "before")
    assert (got[0].seq, got[-1].seq, before.seq, told.data["more"]) == (11, 110, 10, True)
    assert "more; next: audit after=110" in told.text
    while told.data["more"]:
        told = await ask(lab, f"audit 1000 after={got[-1].seq}")
        got += lines(told)
    assert verify_chain(got, before).head == link(told, "head")


async def test_pages_of_the_longest_lines_are_cut_between_lines_and_nothing_is_lost(lab: Site) -> None:
    await fill(lab, 60, line='"' * 1000, rule="&" * 1000)
    told = await ask(lab, "audit 60")
    assert told.cut
    got, before = lines(told), link(told, "before")
    while got[-1].seq < 60:
        more = lines(await ask(lab, f"audit 1000 after={got[-1].seq}"))
        assert more
        got += more
    assert verify_chain(got, before).fault == ""


async def test_lines_since_until_by_whom_and_refused_alone(lab: Site) -> None:
    clock = lab.clock
    assert isinstance(clock, FakeClock)
    now = clock.time()
    for place, ago in enumerate((300.0, 200.0, 100.0)):
        await lab.journal.audit(replace(OLD, time=now - ago, id=str(place), asker=BOB if place == 1 else ALICE))
    await lab.journal.audit(replace(OLD, time=now - 50, id="3", outcome="refused"))

    async def found(line: str) -> str:
        return "".join(one.record.id for one in lines(await ask(lab, line)) if one.record and len(one.record.id) == 1)

    assert await found('audit since="250 s"') == "123"
    assert await found("audit until=150s") == "01"
    assert await found("audit since=250s until=150s") == "1"
    assert await found(f"audit who={BOB}") == "1"
    assert await found("audit --refused") == "3"
    assert await found("audit 1 until=50s") == "3"


async def test_lines_of_another_account_are_withheld_and_the_chain_still_holds(lab: Site) -> None:
    await fill(lab, 2)
    await lab.journal.audit(
        replace(OLD, account="other", asker="boss@other.example", line="secret plan", key="SHA256:x")
    )
    await lab.journal.audit(replace(OLD, account="", asker="", line="audit", outcome="dropped lines"))
    told = await ask(lab)
    assert "other" not in str(told.data["lines"])
    assert "secret plan" not in str(told.data)
    assert "(of another account)" in told.text
    assert [one.record is None for one in lines(told)] == [False, False, True, False]
    assert verify_chain(lines(told), link(told, "anchor")).head == link(told, "head")
    seen = await ask(lab, door=replace(DOOR, account="other"))
    assert [one.record is None for one in lines(seen)][:4] == [True, True, False, False]


async def test_who_asks_for_others_lines_by_name_learns_nothing_of_another_account(lab: Site) -> None:
    """Else `who=` would tell of which person another organisation has lines, and how many."""
    await lab.journal.audit(replace(OLD, account="other", asker="boss@other.example"))
    told = await ask(lab, "audit who=boss@other.example")
    assert told.data["lines"] == []


async def test_a_full_disk_does_not_stop_a_look_at_the_audit(lab: Site) -> None:
    await fill(lab, 3)
    await lab.journal._writer.do(lambda db: db.execute("PRAGMA max_page_count = 1").close())
    assert [one.seq for one in lines(await ask(lab, "audit 3"))] == [1, 2, 3]


@pytest.mark.parametrize("line", ["audit 0", "audit 1000001", "audit after=-1", "audit since=-5s", "audit who='a b'"])
async def test_what_makes_no_sense_is_invalid(lab: Site, line: str) -> None:
    assert (await ask(lab, line)).state == "invalid"


def test_an_instance_of_the_agent_is_no_instance_of_the_site(lab: Site) -> None:
    assert [one.name for one in lab.node.instances()] == ["lab"]
    assert isinstance(lab.node.find("audit"), AuditModule)


async def test_key_and_effect_stand_in_it_and_the_effect_of_what_was_refused_too(lab: Site) -> None:
    signed = Incoming("01J00000000000000000000000", Asker(ALICE, key="SHA256:abc"), "restart httpd", DOOR)
    await lab.node.dispatch.handle(signed, Ear())
    await ask(lab, "restart httpd", by=BOB)
    await ask(lab, "nonsense")
    told = [(one.outcome, one.key, one.effect) for one in reversed(await lab.journal.recent(9))]
    assert told == [
        ("accepted", "SHA256:abc", "change"),
        ("done", "SHA256:abc", "change"),
        ("refused", "", "change"),
        ("invalid", "", ""),
    ]


async def test_an_id_that_was_used_for_something_else_leaves_a_line(lab: Site) -> None:
    ident = "01J00000000000000000000000"
    await ask(lab, "look", ident=ident)
    await ask(lab, "restart httpd", ident=ident)
    last = (await lab.journal.recent(1))[0]
    assert (last.line, last.outcome, last.rule) == ("lab restart what=httpd", "refused", "used id")


async def test_a_change_that_a_broken_journal_stopped_goes_to_the_sinks_at_least(lab: Site) -> None:
    heard: list[str] = []
    lab.journal.audit_to(lambda record, link: heard.append(f"{record.line}: {record.outcome}"))
    await lab.journal._writer.do(lambda db: db.execute("PRAGMA max_page_count = 1").close())
    await fill_up(lab)
    heard.clear()
    assert (await ask(lab, "restart httpd")).text.endswith("nothing was done")
    assert heard == ["lab restart what=httpd: failed: journal broken"]


async def fill_up(lab: Site) -> None:
    """A page has room for some lines more."""
    for _ in range(1000):
        try:
            await lab.journal.audit(replace(OLD, id="1"))
        except Failed:
            return
