"""The client of `amon.xmpp` as a program: `partner.py echo|drive HOST PORT CA ME PEER PASSWORD`."""

import asyncio
import sys
from pathlib import Path
from random import Random

from amon.xmpp.connection import Connection
from amon.xmpp.events import Bounced, Offline, Online, Received, RoomState, Seen
from amon.xmpp.login import Login
from amon.xmpp.tls import small_buffers, tls_context
from tests.bench.driver import Driver, echo, obey


class Partner:
    """A `Listener` that answers each message with the same text, or counts it for its driver."""

    def __init__(self, peer: str, echoes: bool) -> None:
        self.connection: Connection
        self.driver = Driver(self.send)
        self._peer, self._echoes = peer, echoes
        self._bodies: dict[int, str] = {}

    def send(self, body: int, count: int) -> None:
        text = self._bodies.setdefault(body, "x" * body)
        for _ in range(count):
            self.connection.say(self._peer, text, kind="normal")

    def received(self, message: Received) -> None:
        if self._echoes:
            self.connection.say(message.reply_to, message.text, kind="normal")
        else:
            self.driver.heard()

    def bounced(self, bounce: Bounced) -> None:
        sys.exit(f"{bounce.to} is not there: {bounce.condition}")

    def offline(self, event: Offline) -> None:
        sys.exit(event.reason)

    def seen(self, presence: Seen) -> None:
        pass

    def room(self, state: RoomState) -> None:
        pass

    def online(self, event: Online) -> None:
        pass

    def may_see(self, jid: str) -> bool:
        return False


async def main(role: str, host: str, port: str, ca_file: str, me: str, peer: str, password: str) -> None:
    jid, _, resource = me.partition("/")
    small_buffers()  # as the agent does
    partner = Partner(peer, role == "echo")
    login = Login(jid, password, resource=resource, host=host, port=int(port), tls="direct")
    partner.connection = Connection(login, partner, context=tls_context(Path(ca_file)), random=Random())
    life = asyncio.create_task(partner.connection.run())
    try:
        async with asyncio.timeout(30):
            await partner.connection.wait_online()
        await (echo() if role == "echo" else obey(partner.driver))
    finally:
        life.cancel()
        await asyncio.wait([life])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
