"""A console that is run on the tree of either version: only what both have is imported here.

`python either.py ASKED.JSON`: the lines to ask, with how; prints how each ended at each site, as JSON.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from amon.access.sshsig import SigningKey
from amon.clock import SystemClock
from amon.ids import new_id
from amon.runtime.fleet import Fleet
from amon.runtime.gather import Job, gathering
from amon.runtime.signing import signed
from amon.xmpp.connection import Connection
from amon.xmpp.login import Login
from amon.xmpp.tls import tls_context


@dataclass(frozen=True, slots=True)
class Asked:
    """lines: what is asked, and how: `plain`, `yes` when sites ask back, `signed`. seconds: that each may take."""

    jid: str
    password: str
    host: str
    port: int
    ca_file: str
    room: str
    sites: tuple[str, ...]
    key: str
    lines: tuple[tuple[str, str], ...]
    seconds: float = 15.0


async def ask(asked: Asked) -> list[dict[str, Any]]:
    fleet = Fleet(SystemClock())
    login = Login(asked.jid, asked.password, resource="either", host=asked.host, port=asked.port, rooms=(asked.room,))
    context = tls_context(Path(asked.ca_file))
    fleet.connection = Connection(login, fleet, context=context, random=Random())
    life = asyncio.create_task(fleet.connection.run())
    try:
        async with asyncio.timeout(30):
            await fleet.connection.wait_online()
            await fleet.connection.enter(asked.room)
            await fleet.enter(member.jid for member in await fleet.connection.members(asked.room))
            await fleet.settle()
            while not all(fleet.sites[name].online for name in asked.sites):
                fleet.changed.clear()
                await fleet.changed.wait()
        return [await _one(asked, fleet, line, how) for line, how in asked.lines]
    finally:
        life.cancel()
        await asyncio.wait([life])


async def _one(asked: Asked, fleet: Fleet, line: str, how: str) -> dict[str, Any]:
    clock, key = SystemClock(), SigningKey.load(Path(asked.key))

    async def sign(message: bytes, namespace: str) -> str:
        return key.sign(message, namespace)

    job = Job(new_id(time.time()), line, asked.sites, asked.seconds)
    if how == "signed":
        job = await signed(job, asked.jid, asked.room, clock, sign)
    with gathering(fleet, asked.room, job, clock) as under_way:
        under_way.send()
        await under_way.collect()
        plans = {name: word.text for name, word in under_way.asking.items()}
        while under_way.asking:
            again = under_way.again()
            wants = how == "signed" or any(word.signature for word in under_way.asking.values())
            under_way.confirm(await signed(again, asked.jid, asked.room, clock, sign) if wants else again)
            await under_way.collect()
        ends = {row.site: [str(row.state), row.text] for row in under_way.book.rows()}
    return {"line": line, "ends": ends, "plans": plans}


def main(path: Path) -> None:
    told = json.loads(path.read_text())
    told["sites"], told["lines"] = tuple(told["sites"]), tuple(map(tuple, told["lines"]))
    print(json.dumps(asyncio.run(ask(Asked(**told)))))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
