"""The connection of a shell: that it is lost and found again is said, and then the fleet is looked at anew."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from admin_console.shell.desk import Desk
from admin_console.tables import one_line
from amon.errors import Failed, Refused


@contextlib.asynccontextmanager
async def told_of_the_connection(desk: Desk, note: Callable[[str], None]) -> AsyncIterator[None]:
    """While the block lasts, losing the server and finding it again is said, and the fleet is looked at anew."""
    watching = asyncio.create_task(_watch_connection(desk, note), name="connection watched")
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait((watching,))


async def _watch_connection(desk: Desk, note: Callable[[str], None]) -> None:
    session, lost = desk.session, False
    while True:
        await session.fleet.changed.wait()
        session.fleet.changed.clear()
        if session.fleet.trouble is not None and not lost:
            lost = True
            note(f"connection lost: {one_line(session.fleet.trouble.reason)}; trying again")
        elif session.fleet.trouble is None and lost and session.connection.online:
            lost = False
            note("connected again")
            with contextlib.suppress(Failed, Refused):
                await desk.refresh()
