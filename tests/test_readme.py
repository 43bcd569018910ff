"""What the README shows is run as it stands there: its module and the module's test, its links, its exit codes."""

import re
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from amon.access import Authority, Policy, Wanted, policy_problems
from amon.command.declare import commands_of
from amon.convert import from_data
from amon.errors import Problem
from amon.job.exits import CODES
from amon.words import Asker, State
from modules.service import ServiceModule

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)


async def test_the_module_of_the_readme_passes_the_test_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    module, test = blocks("python")
    assert len([line for line in module.splitlines() if line.strip()]) < 40
    made = ModuleType("amon_users")
    monkeypatch.setitem(sys.modules, "amon_users", made)
    exec(compile(module, "amon_users.py", "exec"), made.__dict__)  # noqa: S102 the README's own code
    world: dict[str, object] = {}
    exec(compile(test, "test_users.py", "exec"), world)  # noqa: S102
    (the_test,) = (thing for name, thing in world.items() if name.startswith("test_"))
    assert callable(the_test)
    await the_test()


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (README.parent / target).exists(), target


def test_the_exit_codes_of_the_readme_are_those_of_the_program() -> None:
    rows = re.findall(r"^\| (`[a-z-]+`(?:, `[a-z-]+`)*) \|[^|]*\| (\d+)", TEXT, flags=re.MULTILINE)
    said = {State(word): int(code) for words, code in rows for word in re.findall(r"`([a-z-]+)`", words)}
    assert said == {state: int(code) for state, code in CODES.items() if state.ended}


def test_the_policy_of_the_readme_says_what_the_readme_says_of_it() -> None:
    (text,) = [block for block in blocks("toml") if "account.main.policy" in block]
    problems: list[Problem] = []
    policy = from_data(tomllib.loads(text)["account"]["main"]["policy"], Policy, "policy", problems)
    assert policy is not None
    problems += policy_problems(policy, "agents.example.org", "policy")
    assert problems == []
    restart = commands_of(ServiceModule)["restart"]
    authority = Authority(policy, "agents.example.org")
    friday, saturday = (datetime(2026, 11, day, 10, tzinfo=UTC).timestamp() for day in (20, 21))

    def may(jid: str, service: str, now: float) -> bool:
        wanted = Wanted("service", "restart", restart.role, restart.effect, {restart.params[0].name: (service,)})
        return authority.decide(Asker(jid), wanted, now).allowed

    assert may("bob@example.org", "xrootd@1", friday)
    assert not may("bob@example.org", "mysql", friday)
    assert not may("bob@example.org", "httpd", saturday)
    assert may("alice@example.org", "mysql", saturday)
    assert not may("carol@example.org", "httpd", friday)
