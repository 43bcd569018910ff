"""Whatever a module does with a secret it was told, nobody is answered with it, and nothing is written down of it."""

import gc

import pytest

from amon.errors import Invalid
from amon.fields import Secret, discreet
from amon.runtime.typed import direct
from amon.testing import stage
from amon.testing.stage import OWNER
from amon.text import normal_line
from amon.xmpp.passwords import Passwords
from tests.e2e.vault import Settings, VaultModule

KEY, WORD, TOKEN = "planted-key", "planted-word", "planted-token"


@pytest.mark.parametrize("what", ["good", "failed", "refused", "invalid", "bug", "late", "data", "progress", "log"])
async def test_no_answer_quotes_a_secret(what: str) -> None:
    settings = Settings(Secret(TOKEN), (Secret("planted-more"),))
    async with stage(VaultModule, settings) as site:
        outcome = await site.ask(f"vault login {what} {KEY} {WORD}")
    assert "planted" not in f"{outcome.text} {outcome.data}"
    assert what in ("good", "bug", "progress", "log") or "***" in outcome.text


async def test_a_short_secret_of_the_call_itself_is_taken_out_too() -> None:
    async with stage(VaultModule, Settings(Secret(TOKEN))) as site:
        outcome = await site.ask("vault login failed 4711")
    assert "4711" not in outcome.text


async def test_the_journal_and_the_audit_hold_the_line_without_its_secrets() -> None:
    async with stage(VaultModule, Settings(Secret(TOKEN))) as site:
        outcome = await site.ask(f"vault login good {KEY} {WORD}")
        await site.ask(f"vault logn good {KEY}")
        record = await site.node.journal.find(OWNER, outcome.id)
        audit = await site.node.journal.recent(10)
    assert record is not None
    assert record.line == "vault login what=good key=*** word=***"
    assert "planted" not in repr(audit)


@pytest.mark.parametrize("line", ["vault login 'planted-key", "planted-key \u200b", "vault login planted\u202e-key"])
def test_a_line_that_cannot_be_taken_apart_is_not_shown_again(line: str) -> None:
    with pytest.raises(Invalid) as refusal:
        direct(line, "!")
    assert "planted" not in refusal.value.pointed()


def test_an_invisible_character_is_said_by_its_place() -> None:
    with pytest.raises(Invalid) as refusal:
        normal_line("login planted\u200b")
    assert refusal.value.pointed() == "character 14 is invisible (ZERO WIDTH SPACE); type the line again without it"


def test_a_password_is_hidden_as_long_as_a_connection_tries_it_or_another_one() -> None:
    passwords = Passwords("planted-first", ("planted-spare",))
    passwords.may_become("planted-new")
    assert discreet("planted-first planted-spare planted-new") == "*** *** ***"
    passwords.became("planted-other")
    assert discreet("planted-other planted-first") == "*** ***"
    del passwords
    gc.collect()
    assert discreet("planted-first") == "planted-first"
