"""`audit_to` of a running agent: its audit goes where the configuration says, from the first line to the last."""

import socket
from pathlib import Path

import pytest

from amon.access import AuditRecord
from amon.store import Journal, Record
from site_agent.agent import Agent
from tests.site_agent.world import Place

BASE = """
state = "$STATE"
[account.main]
jid = "site-1@agents.example.org"
password_file = "$PASSWORD"
host = "127.0.0.1"
port = 1
[account.main.policy]
admin = ["alice@example.org"]
"""
LINE = AuditRecord(1000.0, "main", "alice@example.org", None, "01J", "host status", True, "admin alice", "done")
OPEN = Record("alice@example.org", "01J", "main", "alice@example.org/desk", "service restart", "change", 1000.0)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_the_audit_goes_where_it_says_and_a_reload_changes_that(place: Place, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.settimeout(5)
        sockets = {"syslog": tmp_path / "socket", "journald": tmp_path / "nowhere"}
        wanted = place.configuration('audit_to = ["syslog"]\n' + BASE)
        async with Journal.open(place.state / "journal.db") as journal:
            await journal.accept(OPEN, durable=True)
        async with Agent(wanted, sockets=sockets).running() as agent:
            assert b'outcome="interrupted"' in listener.recv(10_000)  # written before anything else begins
            await agent.node.journal.audit(LINE)
            assert b'seq="2"' in listener.recv(10_000)
            changes = await agent.reload(place.configuration('audit_to = ["journald"]\n' + BASE))
            assert str(changes) == "where the audit goes"
            await agent.node.journal.audit(LINE)
            assert "journald: No such file" in str(agent.node.healths()["agent"])
            await agent.reload(place.configuration(BASE))
            assert "agent" not in agent.node.healths()
            await agent.node.journal.audit(LINE)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.recv(10_000)


@pytest.mark.parametrize("text", ['audit_to = ["journal"]', 'audit_to = "syslog"', "audit_to = [1]"])
def test_what_is_no_sink_is_a_mistake_of_the_configuration(place: Place, text: str) -> None:
    (problem,) = place.problems(f"{text}\n{BASE}")
    assert problem.startswith("audit_to")
