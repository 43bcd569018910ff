"""Jobs in random histories: kills, restarts, lost, doubled and late messages at any step (see `history.py`).

`make histories` runs 10,000 of them. AMON_HISTORIES says how many, AMON_SEED which; else the same few each time.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from admin_console.wish import Rolling
from tests.histories.history import NAMES, History

ASKED = os.environ.get("AMON_HISTORIES", "")
SHRINK = not os.environ.get("AMON_NO_SHRINK")  # to look for the shortest history takes minutes
SEED = int(os.environ.get("AMON_SEED", "0"))
SHARDS = 4
MOST_JOBS = 3
TAKES = st.tuples(*[st.sampled_from([0.0, 0.0, 1.0, 7.0, 45.0])] * len(NAMES))
ROLLING = st.sampled_from(
    [
        *(Rolling(),) * 3,
        Rolling(batch="1"),
        Rolling(batch="2", max_failures="0"),
        Rolling(canary=1),
        Rolling(canary=1, batch="1", splay=4.0),
        Rolling(within=20.0, batch="1"),
    ]
)
NUMBER = st.integers(0, 30)
SITE = st.sampled_from(NAMES)


class Histories(RuleBasedStateMachine):
    """A rule that finds nothing does nothing: what lies in the network depends on threads a little, so no rule may."""

    def __init__(self) -> None:
        super().__init__()
        shared = Path("/dev/shm")  # many small files that are synced; where there is no such place, any will do
        self.folder = Path(tempfile.mkdtemp(prefix="amon-history-", dir=shared if shared.is_dir() else None))
        self.loop = asyncio.new_event_loop()
        self.history = History(self.folder)
        self.fine = True

    def do(self, what: Coroutine[Any, Any, None]) -> None:
        self.fine = False
        self.loop.run_until_complete(what)
        self.fine = True

    @initialize()
    def begin(self) -> None:
        self.do(self.history.begin())

    @precondition(lambda self: self.history.desk.up and self.history.asked < MOST_JOBS)
    @rule(yes=st.booleans(), rolling=ROLLING, queue=st.sampled_from([0.0, 0.0, 60.0]), takes=TAKES)
    def ask(self, yes: bool, rolling: Rolling, queue: float, takes: tuple[float, ...]) -> None:
        self.do(self.history.ask(yes, rolling, queue, takes))

    @rule(number=NUMBER)
    def deliver(self, number: int) -> None:
        self.do(self.history.deliver(number))

    @rule()
    def deliver_all(self) -> None:
        self.do(self.history.deliver_all())

    @rule(number=NUMBER)
    def double(self, number: int) -> None:
        self.do(self.history.double(number))

    @rule(number=NUMBER)
    def drop(self, number: int) -> None:
        if self.history.net.letters:
            self.history.net.drop(number)

    @rule(seconds=st.sampled_from([0.2, 1.0, 3.0, 10.0, 40.0]))
    def pass_time(self, seconds: float) -> None:
        self.do(self.history.pass_time(seconds))

    @rule(name=SITE)
    def kill_or_start_site(self, name: str) -> None:
        history = self.history
        self.do(history.kill_site(name) if history.sites[name].up else history.start_site(name))

    @rule(name=SITE)
    def restart_site(self, name: str) -> None:
        if self.history.sites[name].up:
            self.do(self.history.stop_site(name))
        self.do(self.history.start_site(name))

    @rule()
    def kill_or_start_desk(self) -> None:
        self.do(self.history.kill_desk() if self.history.desk.up else self.history.start_desk())

    @rule()
    def stop_or_start_server(self) -> None:
        self.do(self.history.stop_server() if self.history.net.up else self.history.start_server())

    @rule(number=NUMBER)
    def cancel(self, number: int) -> None:
        self.do(self.history.cancel(number))

    @invariant()
    def holds(self) -> None:
        self.history.check()

    def teardown(self) -> None:
        try:
            if self.fine:
                self.loop.run_until_complete(self.history.mend())
                self.loop.run_until_complete(self.history.compare())
        finally:
            self.loop.run_until_complete(self.history.end())
            self.loop.close()
            shutil.rmtree(self.folder)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_nothing_is_lost_and_nothing_is_done_twice_whatever_happens(shard: int) -> None:
    count = int(ASKED or 200) // SHARDS
    run_state_machine_as_test(
        seed(SEED + shard)(type(f"Histories{shard}", (Histories,), {})),
        settings=settings(
            max_examples=count,
            stateful_step_count=30,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            report_multiple_bugs=False,
            phases=[Phase.generate, *([Phase.shrink] if SHRINK else [])],
        ),
    )
