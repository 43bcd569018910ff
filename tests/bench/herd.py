"""Many agents in one process, as a program: reads a `Herd` as JSON on stdin, says `online`, ends when stdin closes."""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from amon.access import Policy
from amon.module import Registry, settings_type
from amon.runtime.node import Spec
from amon.xmpp.login import Login
from amon.xmpp.tls import small_buffers
from site_agent.agent import Agent
from site_agent.configuration import AccountPlan, Configuration
from site_agent.plans import RESOURCE
from site_agent.policies import Law
from site_agent.settings import AgentSettings

_LOGINS = 100  # a second and process: a fleet does not log in all at once either


@dataclass(frozen=True, slots=True)
class Herd:
    """jids: one agent each, all with `uptime` and a journal on the disk. room: where they are, if anywhere.

    hub: who sums up what is typed there, if anybody.
    """

    jids: tuple[str, ...]
    host: str
    port: int
    ca_file: str
    folder: str
    admin: str
    password: str
    room: str = ""
    hub: str = ""

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"


def configuration(herd: Herd, jid: str, registry: Registry) -> Configuration:
    site = jid.partition("@")[0]
    login = Login(
        jid,
        herd.password,
        resource=RESOURCE,
        host=herd.host,
        port=herd.port,
        rooms=(herd.room,) if herd.room else (),
        nick=site,
    )
    named = (herd.hub,) if herd.hub else ()
    policy = Policy(observer=named, admin=(herd.admin,), gatherer=herd.hub or None)
    plan = AccountPlan("vo", login, Path(herd.ca_file), Law(policy), None, "!")
    uptime = registry.find("uptime")
    assert uptime.cls is not None, uptime.reason
    hint = settings_type(uptime.cls)
    assert hint is not None
    spec = Spec("uptime", "uptime", uptime.cls, hint())
    return Configuration(AgentSettings(state=Path(herd.folder) / site), (spec,), (plan,))


async def live(herd: Herd) -> None:
    """All of them, until stdin is closed."""
    registry, random = Registry(), Random()
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    over = asyncio.Event()
    up = asyncio.Semaphore(0)

    async def one(jid: str) -> None:
        await asyncio.sleep(random.uniform(0, len(herd.jids) / _LOGINS))
        async with Agent(configuration(herd, jid, registry)).running() as agent:
            await agent.wait_online()
            up.release()
            await over.wait()

    async with asyncio.TaskGroup() as tasks:
        for jid in herd.jids:
            tasks.create_task(one(jid))
        for _ in herd.jids:
            await up.acquire()
        print("online", flush=True)
        await lines.read()
        over.set()


def main() -> None:
    small_buffers()
    told = json.loads(sys.stdin.buffer.readline())
    asyncio.run(live(Herd(**{**told, "jids": tuple(told["jids"])})))


if __name__ == "__main__":
    main()
