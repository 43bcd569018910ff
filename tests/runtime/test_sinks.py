"""The audit on its way to journald and syslog, with real sockets: nothing an asker chose makes an entry of its own."""

import json
import logging
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from amon.access import AuditRecord, Link
from amon.health import Health
from amon.runtime.sinks import SOCKETS, SinkName, Sinks, journald_entry, syslog_entry
from amon.testing import FakeClock
from tests.runtime.scene import ALICE, EVE, site

RECORD = AuditRecord(
    1_763_643_042.5, "main", ALICE, "ops@rooms.example.org", "01J", "service restart unit=httpd", True, "admin alice",
    "done", "SHA256:abc", "change",
)  # fmt: skip
_JOURNALD = Path("/lib/systemd/systemd-journald")
LINK = Link(7, "ab" * 32)
FORGED = 'httpd\nAMON_OUTCOME=done\r\n<86>Jan  1 00:00:00 amon-agent[1]: audit \x1b[2J\u2028asker="root"\0'


class Listener:
    """A datagram socket as journald and syslog have them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(5)

    def heard(self) -> bytes:
        return self.socket.recv(1_000_000)

    def close(self) -> None:
        self.socket.close()
        self.path.unlink(missing_ok=True)


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    made = Listener(tmp_path / "socket")
    yield made
    made.close()


class Told:
    """What the node would show."""

    def __init__(self) -> None:
        self.all: list[tuple[str, Health | None]] = []

    def __call__(self, name: str, health: Health | None) -> None:
        self.all.append((name, health))


def sinks(path: Path, *names: SinkName, told: Told | None = None, clock: FakeClock | None = None) -> Sinks:
    return Sinks(names, told or Told(), clock or FakeClock(), dict.fromkeys(SOCKETS, path))


def fields(entry: bytes) -> dict[str, str]:
    """As journald reads it; there are no fields with a length in what we write."""
    assert entry.endswith(b"\n")
    pairs = [line.partition(b"=") for line in entry[:-1].split(b"\n")]
    assert all(re.fullmatch(rb"[A-Z_]+", name) and equals for name, equals, _ in pairs)
    return {name.decode(): value.decode() for name, _, value in pairs}


def test_journald_gets_every_field_of_a_line_and_its_place_in_the_chain(listener: Listener) -> None:
    made = sinks(listener.path, "journald")
    made(RECORD, LINK)
    made.close()
    assert fields(listener.heard()) == {
        "MESSAGE": f"{ALICE}: service restart unit=httpd: done", "PRIORITY": "6", "SYSLOG_FACILITY": "10",
        "SYSLOG_IDENTIFIER": "amon-agent", "AMON_SEQ": "7", "AMON_HASH": "ab" * 32, "AMON_ASKER": ALICE,
        "AMON_LINE": "service restart unit=httpd", "AMON_OUTCOME": "done", "AMON_ALLOWED": "yes",
        "AMON_RULE": "admin alice", "AMON_KEY": "SHA256:abc", "AMON_EFFECT": "change", "AMON_ACCOUNT": "main",
        "AMON_ROOM": "ops@rooms.example.org", "AMON_ID": "01J",
    }  # fmt: skip


def test_syslog_gets_the_same_in_one_line_of_ascii(listener: Listener) -> None:
    made = sinks(listener.path, "syslog")
    made(RECORD, LINK)
    made.close()
    said = listener.heard().decode("ascii")
    when = time.strftime("%H:%M:%S", time.localtime(RECORD.time))
    head, _, rest = said.partition(": audit ")
    assert re.fullmatch(rf"<86>[A-Z][a-z]{{2}} [ \d]\d {when} amon-agent\[{os.getpid()}\]", head)
    assert rest.startswith(
        f'seq="7" hash="{"ab" * 32}" asker="{ALICE}" line="service restart unit=httpd" outcome="done"'
    )


def test_what_was_refused_is_a_warning_and_has_no_place_if_the_journal_did_not_take_it() -> None:
    refused = replace(RECORD, allowed=False, outcome="refused")
    assert syslog_entry(refused, None, 1).startswith(b"<84>")
    assert b"seq=" not in syslog_entry(refused, None, 1)
    assert fields(journald_entry(refused, None))["PRIORITY"] == "4"


@pytest.mark.parametrize("field", ["asker", "line", "rule", "outcome", "room", "id", "key", "effect", "account"])
def test_no_field_can_forge_another_field_or_another_entry(field: str) -> None:
    forged: dict[str, str] = {field: FORGED}
    record = replace(RECORD, **forged)  # type: ignore[arg-type]
    read = fields(journald_entry(record, LINK))
    assert read.keys() == fields(journald_entry(RECORD, LINK)).keys()
    assert all(text.isprintable() for text in read.values())
    said = syslog_entry(record, LINK, 1).decode("ascii")
    assert said.isprintable()
    assert re.findall(r' (asker|outcome)="', re.sub(r'\\"', "", said)) == ["asker", "outcome"]


def test_a_field_without_end_is_cut_and_half_a_character_does_not_stop_it() -> None:
    long = replace(RECORD, line="ü" * 1_000_000, rule="\ud800")
    assert len(journald_entry(long, LINK)) < 10_000
    assert len(syslog_entry(long, LINK, 1)) < 10_000


def test_a_sink_that_is_not_there_costs_one_log_line_and_a_note_and_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told, clock = Told(), FakeClock()
    made = sinks(tmp_path / "socket", "syslog", told=told, clock=clock)
    with caplog.at_level(logging.INFO, "amon.audit"):
        for _ in range(100):
            made(RECORD, LINK)
        assert len(caplog.messages) == 1
        ((name, health),) = told.all
        assert name == "audit-syslog"
        assert health is not None
        assert (health.level.word, health.text) == (
            "warn", "lines of the audit do not get to syslog: No such file or directory"
        )  # fmt: skip
        there = Listener(tmp_path / "socket")
        made(RECORD, LINK)
        assert there.heard()
        assert len(told.all) == 1  # one that comes and goes does not flood anybody
        clock.advance(60)
        made(RECORD, LINK)
        assert told.all[1:] == [("audit-syslog", None)]
        assert caplog.messages[1:] == ["the audit gets to syslog again"]
    made.close()
    there.close()


def test_a_sink_that_takes_nothing_more_holds_nobody_up(listener: Listener) -> None:
    told = Told()
    made = sinks(listener.path, "journald", told=told)
    for _ in range(10_000):  # nobody reads
        made(RECORD, LINK)
    made.close()
    assert [name for name, _ in told.all] == ["audit-journald", "audit-journald"]


def test_a_socket_of_another_kind_is_told(tmp_path: Path) -> None:
    told = Told()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.bind(str(tmp_path / "socket"))
        stream.listen()
        made = sinks(tmp_path / "socket", "syslog", told=told)
        made(RECORD, LINK)
        health = told.all[0][1]
        assert health is not None
        assert "wrong type" in health.text
        made.close()


def test_both_at_once_and_one_that_is_lost_does_not_stop_the_other(listener: Listener, tmp_path: Path) -> None:
    made = Sinks(
        ("journald", "syslog", "syslog"), Told(), FakeClock(), {"journald": tmp_path / "no", "syslog": listener.path}
    )
    made(RECORD, LINK)
    made(RECORD, LINK)
    made.close()
    assert [listener.heard()[:4] for _ in range(2)] == [b"<86>"] * 2
    listener.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.heard()


async def test_a_request_is_answered_and_its_line_sent_on_whether_or_not_the_sink_is_there(
    listener: Listener, tmp_path: Path
) -> None:
    async with site(tmp_path) as lab:
        made = Sinks(
            ("journald", "syslog"), lab.node.trouble, lab.clock, {"journald": listener.path, "syslog": tmp_path / "no"}
        )
        lab.journal.audit_to(made)
        assert (await lab.ask("look")).last.state == "done"
        assert (await lab.ask("look", by=EVE)).last.state == "refused"
        read = [fields(listener.heard()) for _ in range(2)]
        assert [(one["AMON_ASKER"], one["AMON_OUTCOME"], one["AMON_SEQ"]) for one in read] == [
            (ALICE, "done", "1"),
            (EVE, "refused", "2"),
        ]
        assert "do not get to syslog" in str(lab.node.healths()["agent"])
        made.close()


async def test_a_secret_is_masked_before_any_sink_sees_it(listener: Listener, tmp_path: Path) -> None:
    async with site(tmp_path) as lab:
        made = sinks(listener.path, "journald", "syslog")
        lab.journal.audit_to(made)
        await lab.ask("unlock hunter2")
        assert b"hunter2" not in listener.heard() + listener.heard()
        made.close()


# A journald of its own, in a mount namespace of its own; it says when it is ready (sd_notify(3)).
_BESIDE_JOURNALD = """
import os, socket, subprocess
from pathlib import Path
from amon.runtime.sinks import Sinks
from amon.testing import FakeClock
from tests.runtime.test_sinks import FORGED, LINK, RECORD, Told, replace

for place in ("/run", "/var/log"):
    subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
ready.bind("/run/ready")
ready.settimeout(20)
journald = subprocess.Popen([JOURNALD], env={**os.environ, "NOTIFY_SOCKET": "/run/ready"})
try:
    while b"READY=1" not in ready.recv(4096):
        pass
    home, told = Path("/run/systemd/journal"), Told()
    sinks = Sinks(("journald", "syslog"), told, FakeClock(), {"journald": home / "socket", "syslog": home / "dev-log"})
    sinks(replace(RECORD, line=FORGED), LINK)
    sinks.close()
    assert not told.all
    subprocess.run(["journalctl", "--sync"], check=True)
    subprocess.run(["journalctl", "-o", "json", "SYSLOG_IDENTIFIER=amon-agent"], check=True)
finally:
    journald.kill()
    journald.wait()
"""


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts, so it needs root")
@pytest.mark.skipif(not _JOURNALD.exists(), reason="no systemd-journald is installed")
def test_a_real_journald_has_both_entries_and_no_forged_one() -> None:
    argv = ["unshare", "-m", sys.executable, "-c", f"JOURNALD = {str(_JOURNALD)!r}\n{_BESIDE_JOURNALD}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=50, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    native, classic = [json.loads(line) for line in done.stdout.splitlines()]
    assert (native["AMON_SEQ"], native["AMON_KEY"], native["AMON_OUTCOME"]) == ("7", "SHA256:abc", "done")
    assert native["AMON_LINE"].startswith("httpd\ufffdAMON_OUTCOME=done")
    assert classic["MESSAGE"].startswith('audit seq="7" hash="abab')
    assert (classic["PRIORITY"], classic["SYSLOG_FACILITY"]) == ("6", "10")
