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
