"""Somebody who reads a session far too slowly: takes a part, thinks for long, takes the next.

A program: `python -m tests.soak.slow CONSOLE.TOML`. It ends when it is told to; a session that has ended is begun anew.
"""

import asyncio
import sys
import time
from pathlib import Path

from admin_console.api import Console
from admin_console.session import Session
from amon.errors import Failed
from amon.ids import new_id
from amon.wire import Ended, Heard, Output, Request, encode

_SITE, _LINE = "steady", "service follow talker"
_THINKS = 20.0  # seconds for each part; the site gives up after 90 without a word
_AGAIN = 30.0  # seconds until a session that has ended is begun anew


async def read(session: Session) -> None:
    """One session, to its end."""
    fleet, ident = session.fleet, new_id(time.time())
    to = fleet.sites[_SITE].address
    with fleet.mail(ident) as letters:
        ask = Request(ident, (_SITE,), _LINE, 3600.0)
        fleet.connection.send_payload(to, encode(ask), id=f"{ident}-ask")
        async with asyncio.timeout(3600):
            while True:
                payload = (await letters.get()).payload
                if isinstance(payload, Ended):
                    return
                if isinstance(payload, Output):
                    await asyncio.sleep(_THINKS)
                    fleet.connection.send_payload(to, encode(Heard(ident, payload.seq)), id=f"{ident}-heard")


async def live(config: Path) -> None:
    async with Console(config) as console:
        print("online", flush=True)
        while True:
            try:
                async with asyncio.timeout(300):  # a server that went down takes the session with it, without a word
                    await read(console.session)
            except (Failed, TimeoutError):
                pass
            await asyncio.sleep(_AGAIN)


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1])))
