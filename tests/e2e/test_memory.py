"""Memory stays flat: while the server is away for long, and while an agent is asked again and again."""

import asyncio
import gc
import logging
import tracemalloc
from random import Random

from admin_console.server.child import free_port
from amon.xmpp.connection import Connection
from amon.xmpp.events import Offline
from amon.xmpp.login import Login, Times
from amon.xmpp.tls import tls_context
from tests.e2e.world import World, seen


class Counting:
    """Counts the tries instead of keeping them; nothing else is ever heard here."""

    def __init__(self, *marks: int) -> None:
        self.tries = 0
        self.reached = {mark: asyncio.Event() for mark in marks}

    def received(self, event: object) -> None:
        raise AssertionError(event)

    bounced = seen = room = online = received

    def may_see(self, jid: str) -> bool:
        return False

    def offline(self, event: Offline) -> None:
        self.tries += 1
        if self.tries in self.reached:
            self.reached[self.tries].set()


async def test_a_server_that_is_away_for_a_long_time_costs_no_memory() -> None:
    ear = Counting(200, 700)
    log = logging.getLogger("test.kept-by-nobody")
    log.propagate = False  # pytest keeps every record that reaches the root
    log.addHandler(logging.NullHandler())
    login = Login("cern@agents.amon.test", "secret", host="127.0.0.1", port=free_port("127.0.0.1"))
    times = Times(retry_first=0.0005, retry_most=0.001)
    connection = Connection(login, ear, context=tls_context(), random=Random(1), times=times, log=log)
    life = asyncio.create_task(connection.run())
    try:
        await ear.reached[200].wait()
        tracemalloc.start()
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        await ear.reached[700].wait()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        life.cancel()
        await asyncio.wait([life])
    assert after - before < 100_000


async def test_an_agent_that_is_asked_a_thousand_times_does_not_grow(world: World) -> None:
    site = await world.add_site("cern")
    await site.start()
    async with world.console() as fleet:
        await seen(fleet, "cern", "")

        async def ask(times: int) -> None:
            for _ in range(times // 50):
                await asyncio.gather(*(world.ask(fleet, "uptime") for _ in range(50)))

        await ask(500)
        before = site.memory()
        await ask(1000)
        assert site.memory() - before < 3_000_000
