"""`amon hub`: from its settings to the living hub, and to its end. Source: daemon(7), sd_notify(3)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from random import Random

from admin_console.cache import Cache
from admin_console.hub.fleet import HubFleet
from admin_console.hub.memory import Memory
from admin_console.hub.service import Hub
from admin_console.hub.settings import HubSettings
from admin_console.session import known_keys, login_of
from admin_console.stopping import on_stop
from amon.clock import Clock, SystemClock
from amon.notify import Notify
from amon.runtime.gathered import HUB_RESOURCE
from amon.xmpp.address import bare
from amon.xmpp.connection import Connection
from amon.xmpp.tls import tls_context


async def serve(settings: HubSettings, notify: Notify) -> None:
    """Until it is told to stop. `Failed` if another hub has its directory."""
    stop = asyncio.Event()
    with on_stop(stop.set):
        async with living(settings, notify) as hub:
            ready = asyncio.create_task(_tell_ready(hub, notify))
            alive = asyncio.create_task(notify.keep_alive())
            try:
                await stop.wait()
            finally:
                notify.stopping()
                for task in (ready, alive):
                    task.cancel()


async def _tell_ready(hub: Hub, notify: Notify) -> None:
    await hub.ready.wait()
    notify.ready("in the room")


@contextlib.asynccontextmanager
async def living(settings: HubSettings, notify: Notify, clock: Clock | None = None) -> AsyncIterator[Hub]:
    """The hub while the block lasts, connected or on its way to that. What breaks in it comes out of the block."""
    assert settings.state is not None
    clock, memory, room = clock or SystemClock(), Memory(settings.state), bare(settings.room)
    with memory.alone():
        cache = Cache(settings.state / "fleet.json")
        recalled = cache.recall(room)
        fleet = HubFleet(room, clock, recalled.known, known_keys(settings), recalled.marks)
        fleet.connection = Connection(
            login_of(settings, HUB_RESOURCE, (room,)),
            fleet,
            context=tls_context(settings.ca_file),
            clock=clock,
            random=Random(),
        )
        fleet.connection.set_presence("xa", "looking at the fleet")
        hub = Hub(fleet, fleet.connection, clock, memory, settings.prefix, notify.status)
        async with asyncio.TaskGroup() as tasks:
            lives = [tasks.create_task(fleet.connection.run(), name="connection")]
            lives += [tasks.create_task(hub.run(), name="hub")]
            try:
                yield hub
            finally:
                for life in lives:
                    life.cancel()
                cache.remember(room, {one.name: one.mark for one in fleet.sites.values()}, fleet.known)
