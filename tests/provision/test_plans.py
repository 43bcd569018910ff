"""`rotate` and the files beside a password, as the agent's configuration reads them."""

import os
from pathlib import Path

import pytest

from amon.module import Registry
from site_agent.configuration import Loaded, World, load
from site_agent.passfiles import Keep, PassFiles
from site_agent.reload import difference

OWN = "p" * 43


def made(folder: Path, account: str = 'rotate = "30 d"', *, password: str = "", uid: int | None = None) -> Loaded:
    """A configuration with a password in a file of its own, unless another way is given."""
    secret = folder / "password"
    secret.write_text(OWN)
    secret.chmod(0o600)
    config = folder / "agent.toml"
    config.write_text(
        f'state = "{folder}"\n[account.main]\njid = "cern@agents.example.org"\n'
        f"{password or f'password_file = {str(secret)!r}'}\n"
        f"{account}\n[account.main.policy]\nadmin = ['alice@example.org']\n"
    )
    config.chmod(0o600)
    return load(config, World(Registry(), os.geteuid() if uid is None else uid))


def beside(folder: Path, ending: str, text: str, mode: int = 0o600) -> None:
    path = folder / f"password.{ending}"
    path.write_text(f"{text}\n")
    path.chmod(mode)


def test_every_password_that_may_hold_is_tried_in_its_order(tmp_path: Path) -> None:
    beside(tmp_path, "recovery", "first")
    beside(tmp_path, "next", "following")
    (plan,) = made(tmp_path).accounts
    assert (plan.login.password, plan.login.spare) == (OWN, ("following", "first"))
    assert plan.keep == Keep(tmp_path / "password", 30 * 86_400)


def test_without_rotate_a_password_is_changed_after_a_recovery_only(tmp_path: Path) -> None:
    (plan,) = made(tmp_path, "").accounts
    assert (plan.keep, plan.login.spare) == (None, ())
    beside(tmp_path, "recovery", "first")
    (plan,) = made(tmp_path, "").accounts
    assert (plan.keep, plan.login.spare) == (Keep(tmp_path / "password"), ("first",))


def test_a_password_that_the_agent_cannot_write_cannot_change_by_itself(tmp_path: Path) -> None:
    for way in ('password = "x"', 'credential = "main"'):
        told = [str(one) for one in made(tmp_path, password=way).problems]
        assert any("account.main.rotate: only a password in a file can be changed by itself" in one for one in told), (
            told
        )
    (problem,) = made(tmp_path, 'rotate = "5 min"').problems
    assert str(problem).startswith("account.main.rotate: ")


@pytest.mark.parametrize("ending", ["next", "recovery"])
def test_a_secret_beside_the_password_that_others_can_read_is_a_problem(tmp_path: Path, ending: str) -> None:
    beside(tmp_path, ending, "first", 0o644)
    (problem,) = made(tmp_path).problems
    assert f"password.{ending} has mode 0644" in problem.text
    assert "first" not in str(problem)


def test_a_reload_after_a_change_finds_nothing_different(tmp_path: Path) -> None:
    beside(tmp_path, "recovery", "first")
    old, new = made(tmp_path).configuration, made(tmp_path).configuration
    assert old is not None
    assert new is not None
    assert not difference(old, new)
    other = made(tmp_path, 'rotate = "10 d"').configuration
    assert other is not None
    assert difference(old, other).start_accounts == ("main",)


def test_the_files_lie_beside_each_other(tmp_path: Path) -> None:
    files = PassFiles(tmp_path / "password")
    assert (files.next.name, files.recovery.name) == ("password.next", "password.recovery")
    assert files.held(files.next) == ""
