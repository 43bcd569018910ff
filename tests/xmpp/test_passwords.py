"""Which password is tried when, and what is kept while one is being changed and nobody knows which one holds."""

from xml.etree.ElementTree import Element

import pytest

from amon.errors import Failed, Invalid
from amon.xmpp import names
from amon.xmpp.accounts import Accounts
from amon.xmpp.faults import StanzaError
from amon.xmpp.forms import read_form
from amon.xmpp.markup import child, serialise
from amon.xmpp.passwords import Passwords
from tests.xmpp.party import ALICE, CERN

COMMAND = "{http://jabber.org/protocol/commands}command"
NOTE = "{http://jabber.org/protocol/commands}note"


def tried(passwords: Passwords, refusals: int) -> list[tuple[str, bool]]:
    """What is tried at each refusal, and whether the next try is soon."""
    return [(passwords.current, passwords.next()) for _ in range(refusals)]


def test_each_password_is_tried_once_in_a_round_and_the_rounds_follow_slowly() -> None:
    one_two_three = [("one", True), ("two", True), ("three", False)]
    assert tried(Passwords("one", ("two", "three")), 6) == one_two_three * 2
    assert tried(Passwords("one"), 2) == [("one", False)] * 2
    assert tried(Passwords("one", ("one", "two", "two")), 2) == [("one", True), ("two", False)]


def test_what_worked_is_tried_first_the_next_time() -> None:
    passwords = Passwords("one", ("two", "three"))
    passwords.next()
    passwords.accepted()
    assert (passwords.works, tried(passwords, 3)) == (1, [("two", True), ("three", True), ("one", False)])


def test_a_password_that_is_no_password_is_told_at_once_a_spare_one_too() -> None:
    for words in (("a\u0007",), ("one", ("a\u0007",))):
        with pytest.raises(Invalid, match="characters that no login takes"):
            Passwords(*words)


def test_a_change_makes_the_old_password_a_spare() -> None:
    passwords = Passwords("old")
    passwords.may_become("new")
    passwords.became("new")
    assert (passwords.works, tried(passwords, 2)) == (0, [("new", True), ("old", False)])


def test_a_change_whose_outcome_nobody_knows_keeps_both() -> None:
    passwords = Passwords("old")
    passwords.may_become("new")
    assert tried(passwords, 2) == [("old", True), ("new", False)]


@pytest.mark.parametrize("spare", [(), ("older",), ("new",)])
def test_a_change_that_was_refused_leaves_what_was(spare: tuple[str, ...]) -> None:
    passwords = Passwords("old", spare)
    passwords.may_become("new")
    passwords.stays("new")
    passwords.stays("old")
    assert passwords.current == "old"
    assert "new" not in dict(tried(passwords, 2))


# --- what a server may answer to a command


class Odd(Accounts):
    """An account whose server answers what a test wants, in turn."""

    def __init__(self, *answers: Element | StanzaError) -> None:
        self.account = ALICE
        self.asked: list[Element] = []
        self._answers = list(answers)

    async def ask(self, to: str | None, kind: str, content: Element, within: float | None = None) -> Element:
        self.asked.append(content)
        answer = self._answers.pop(0)
        if isinstance(answer, StanzaError):
            raise answer
        return answer


def answer(status: str, *fields: str, note: str = "", kind: str = "error") -> Element:
    iq = Element(names.IQ, {"type": "result", "from": "agents.amon.test"})
    command = child(iq, COMMAND, status=status, sessionid="s1")
    if note:
        child(command, NOTE, note, type=kind)
    form = child(command, f"{{{names.FORM}}}x", type="form") if fields else None
    for name in fields:
        assert form is not None
        child(form, f"{{{names.FORM}}}field", var=name)
    return iq


FORM = answer("executing", "accountjid", "password", "password-verify")
DONE = answer("completed")


async def test_a_command_is_asked_for_before_it_is_filled_in_and_its_session_goes_back() -> None:
    odd = Odd(FORM, DONE)
    await odd.add_account(CERN, "battery staple")
    first, second = odd.asked
    assert "battery" not in serialise(first)
    assert (second.get("sessionid"), second.get("action")) == ("s1", "complete")
    assert read_form(second[0]) == {
        "FORM_TYPE": ("http://jabber.org/protocol/admin",),
        "accountjid": (CERN,),
        "password": ("battery staple",),
        "password-verify": ("battery staple",),
    }


@pytest.mark.parametrize(
    "answers",
    [
        (StanzaError("forbidden", ""),),
        (StanzaError("service-unavailable", ""),),
        (StanzaError("not-allowed", ""),),
        (Element(names.IQ),),
        (answer("executing", "accountjid"),),
        (answer("canceled", "accountjid", "password", "password-verify"),),
        (answer("completed"),),
    ],
)
async def test_whoever_does_not_take_the_command_is_sent_no_password(
    answers: tuple[Element | StanzaError, ...],
) -> None:
    odd = Odd(*answers)
    with pytest.raises(Failed):
        await odd.add_account(CERN, "battery staple")
    assert len(odd.asked) == 1
    assert "battery" not in serialise(odd.asked[0])


@pytest.mark.parametrize(
    "last",
    [
        answer("completed", note="Failed to write data to disk"),
        answer("executing", "more"),
        answer("canceled"),
        Element(names.IQ),
        StanzaError("internal-server-error", "it broke"),
        StanzaError("forbidden", ""),
        StanzaError("not-allowed", "nobody may"),
        StanzaError("service-unavailable", "gone"),
    ],
)
async def test_nothing_but_completed_without_an_error_is_done(last: Element | StanzaError) -> None:
    with pytest.raises(Failed):
        await Odd(FORM, last).add_account(CERN, "battery staple")


async def test_an_information_beside_it_is_no_error() -> None:
    await Odd(FORM, answer("completed", note="Account successfully created", kind="info")).add_account(CERN, "x")


async def test_a_servers_own_words_are_short_and_one_line() -> None:
    said = "disk\r\nfull \x1b[2J" + "x" * 10_000
    with pytest.raises(StanzaError) as caught:
        await Odd(FORM, answer("completed", note=said)).add_account(CERN, "x")
    assert not set("\r\n\x1b") & set(str(caught.value))
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    "utc", ["", "yesterday", "2026-11-20T12:00:00", "9999999-01-01T00:00:00Z", "2026-13-01T00:00:00Z"]
)
async def test_a_time_that_is_none_is_told(utc: str) -> None:
    iq = Element(names.IQ)
    child(child(iq, f"{{{names.TIME}}}time"), f"{{{names.TIME}}}utc", utc)
    with pytest.raises(Failed, match="tells a time that is none"):
        await Odd(iq).server_time()


async def test_the_time_of_a_server_is_read_to_the_second() -> None:
    iq = Element(names.IQ)
    child(child(iq, f"{{{names.TIME}}}time"), f"{{{names.TIME}}}utc", "2006-12-19T17:58:35Z")  # XEP-0202, example 2
    assert await Odd(iq).server_time() == 1_166_551_115
