"""An agent whose clock nobody has vouched for yet forgets nothing of what it did."""

import asyncio
import logging
from pathlib import Path

from amon.access import AuditRecord
from amon.store import Record
from amon.testing import FakeClock
from site_agent.agent import Agent
from tests.site_agent.world import Place

ALICE = "alice@example.org"
DONE = Record(ALICE, "01J", "main", f"{ALICE}/desk", "uptime", "read", 1000.0, "done", "{}", 1001.0)
AUDIT = AuditRecord(1001.0, "main", ALICE, None, "01J", "uptime", True, "", "done")
ALONE = """
state = "$STATE"
[account.main]
jid = "site-1@agents.example.org"
password_file = "$PASSWORD"
host = "127.0.0.1"
port = 1
[account.main.policy]
admin = ["alice@example.org"]
"""


class Heard(logging.Handler):
    """Waits for a line of the log."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what
        self.there = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self.what in record.getMessage():
            self.there.set()


async def test_an_agent_that_has_reached_no_server_forgets_nothing(tmp_path: Path) -> None:
    clock, log, heard = FakeClock(1000.0 + 30 * 86_400), logging.getLogger("amon.node"), Heard("nothing is forgotten")
    log.addHandler(heard)
    before = log.level
    log.setLevel(logging.INFO)
    try:
        async with asyncio.timeout(20), Agent(Place(tmp_path).configuration(ALONE), clock=clock).running() as agent:
            await agent.node.journal.end(DONE, AUDIT)
            await clock.turn(3600, step=600)
            await heard.there.wait()
            assert await agent.node.journal.find(ALICE, DONE.id) == DONE
    finally:
        log.setLevel(before)
        log.removeHandler(heard)
