"""The end of a unit's log, as journalctl gives it or does not. What it says was seen with systemd 252."""

from pathlib import Path

import pytest

from amon.errors import Failed
from modules.service.logfile import own_user
from modules.service.systemctl import Programs, Systemctl

HINT = """Hint: You are currently not seeing messages from other users and the system.
      Users in groups 'adm', 'systemd-journal' can see all messages.
      Pass -q to turn off this notice."""


def journalctl(folder: Path, quiet: str, aloud: str) -> Systemctl:
    """One that says this with `--quiet`, and that without. Both are lines of a shell."""
    script = folder / "journalctl"
    script.write_text(f'#!/bin/sh\nif test "$1" = --quiet; then\n{quiet}\nelse\n{aloud}\nfi\n')
    script.chmod(0o700)
    return Systemctl(Programs(journalctl=(str(script),)), "", "system")


async def test_the_last_lines_are_shown_as_they_are(tmp_path: Path) -> None:
    said = "echo 'starting'; echo '\x1b[31mno licence'"
    assert await journalctl(tmp_path, said, "echo aloud").last_lines("web.service") == ("starting", "no licence")


async def test_a_log_with_nothing_in_it_is_empty(tmp_path: Path) -> None:
    assert await journalctl(tmp_path, "true", "echo -- No entries --").last_lines("web.service") == ()


@pytest.mark.parametrize(
    ("quiet", "aloud"),
    [
        ("true", f"cat <<E\n{HINT}\nE\necho -- No entries --"),
        ("echo No journal files were opened due to insufficient permissions.; exit 1", "true"),
    ],
    ids=["some of it is open", "all of it is closed"],
)
async def test_a_journal_that_may_not_be_read_is_not_an_empty_log(tmp_path: Path, quiet: str, aloud: str) -> None:
    user = own_user()
    with pytest.raises(Failed) as fault:
        await journalctl(tmp_path, quiet, aloud).last_lines("web.service")
    assert str(fault.value) == (
        f"user {user} may not read the journal; "
        f"next: usermod --append --groups systemd-journal {user}, then restart the agent"
    )


async def test_a_journalctl_that_fails_or_is_not_there_is_not_an_empty_log(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"^journalctl: Failed to determine timestamp$"):
        await journalctl(tmp_path, "echo Failed to determine timestamp; exit 1", "true").last_lines("web.service")
    with pytest.raises(Failed, match="journalctl"):
        await Systemctl(Programs(journalctl=("/nowhere/journalctl",)), "", "system").last_lines("web.service")


# As journald keeps the words of a user's program that was gone before journald looked for its unit.
SHOWN = "ExecMainPID=4711\nExecMainStartTimestamp=Sat 2026-11-21 03:01:30 UTC"


def users(folder: Path, shown: str, manager: str = "user") -> Systemctl:
    """Its journalctl knows nothing of the unit, and something of one process since one moment."""
    systemctl, journalctl = folder / "systemctl", folder / "journalctl"
    systemctl.write_text(f"#!/bin/sh\ncat <<E\n{shown}\nE\n")
    journalctl.write_text(
        '#!/bin/sh\ncase "$*" in\n'
        '*"--since=Sat 2026-11-21 03:01:30 UTC _PID=4711"*) echo "no licence" ;;\n'
        '*"--since"*) echo "of another process" ;;\nesac\n'
    )
    for program in (systemctl, journalctl):
        program.chmod(0o700)
    return Systemctl(Programs((str(systemctl),), (str(journalctl),)), "", manager)


async def test_the_words_of_a_user_s_program_are_found_where_journald_did_not_see_its_unit(tmp_path: Path) -> None:
    assert await users(tmp_path, SHOWN).last_lines("web.service") == ("no licence",)


@pytest.mark.parametrize(
    ("shown", "manager"),
    [
        (SHOWN, "system"),
        ("ExecMainPID=0\nExecMainStartTimestamp=", "user"),
        ("ExecMainPID=12; rm\nExecMainStartTimestamp=Sat 2026-11-21 03:01:30 UTC", "user"),
        ("", "user"),
    ],
)
async def test_nobody_else_s_words_are_taken_for_them(tmp_path: Path, shown: str, manager: str) -> None:
    assert await users(tmp_path, shown, manager).last_lines("web.service") == ()
