"""Sites that misbehave, each in a way of its own: accounts that say they are agents and answer what they like."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from amon.access import RESULT
from amon.access.sshsig import SigningKey
from amon.ids import new_id
from amon.wire import Accepted, Ended, Proof, Request, Whole, body_of, decode, encode, seal
from amon.xmpp.connection import Connection
from amon.xmpp.events import Bounced, Offline, Online, Received, RoomState, Seen
from amon.xmpp.login import Login
from amon.xmpp.tls import tls_context

Answers = Callable[[Request, int], Iterator[str]]
"""The request and the number of the site -> what it sends back."""

LARGE = 50_000_000  # bytes
_PIECE = 100_000  # characters; forty of them, besides, from each of those who answer too much


def refuses(request: Request, number: int) -> Iterator[str]:
    yield encode(Ended(request.id, "refused", "no right to do this here"))


def fails(request: Request, number: int) -> Iterator[str]:
    yield encode(Ended(request.id, "failed", "it broke"))


def hangs(request: Request, number: int) -> Iterator[str]:
    yield encode(Accepted(request.id))


def twice(request: Request, number: int) -> Iterator[str]:
    yield encode(Ended(request.id, "done", "first"))
    yield encode(Ended(request.id, "done", "first"))
    yield encode(Ended(request.id, "failed", "second"))


def large(request: Request, number: int) -> Iterator[str]:
    """What an honest agent says of 50 MB, and then the flood of one that is not."""
    whole = Whole(LARGE, "0" * 64, lines=1_000_000)
    yield encode(Ended(request.id, "done", "line\n" * 3_000, cut=True, whole=whole))
    for piece in range(40):
        yield encode(Ended(request.id, "done", "x" * _PIECE, data=piece))


def mute(request: Request, number: int) -> Iterator[str]:
    return iter(())


class Junk:
    """Broken JSON, an order's id that was never given, far too much, a word in another site's name, all at once."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key

    def __call__(self, request: Request, number: int) -> Iterator[str]:
        done = Ended(request.id, "done", "made up")
        forged = body_of(Proof("a-000@agents.amon.test", "alice@amon.test", time.time(), done, "0" * 26))
        ways = (
            '{"v":1,"body":"{',
            encode(Ended(new_id(time.time()), "done", "of another job")),
            json.dumps({"v": 1, "body": "[" * 190_000}),
            seal(forged, self._key.sign(forged.encode(), RESULT)),
            seal(json.dumps({"type": "ended", "id": request.id, "state": 7})),
        )
        yield ways[number % len(ways)]


class OddSite:
    """A `Listener` that answers requests. dies: it says that it has begun, and is gone."""

    def __init__(self, answers: Answers, number: int, dies: bool) -> None:
        self._answers, self._number, self._dies = answers, number, dies
        self.connection: Connection
        self.life: asyncio.Task[None]

    def received(self, message: Received) -> None:
        payload = decode(message.payload or "")
        if not isinstance(payload, Request):
            return
        for place, text in enumerate(self._answers(payload, self._number)):
            self.connection.send_payload(message.reply_to, text, id=f"{payload.id}-{place}")
        if self._dies:
            self.life.cancel()

    def bounced(self, bounce: Bounced) -> None: ...
    def seen(self, presence: Seen) -> None: ...
    def room(self, state: RoomState) -> None: ...
    def online(self, event: Online) -> None: ...
    def offline(self, event: Offline) -> None: ...
    def may_see(self, jid: str) -> bool:
        return True


@asynccontextmanager
async def odd_sites(
    jids: Sequence[str], answers: Answers, password: str, host: str, port: int, ca_file: Path, *, dies: bool = False
) -> AsyncIterator[None]:
    """All of them, online until the block ends, or until they die."""
    context, made = tls_context(ca_file), []
    for number, jid in enumerate(jids):
        site = OddSite(answers, number, dies)
        login = Login(jid, password, resource="agent", host=host, port=port)
        site.connection = Connection(login, site, context=context, random=Random(number))
        site.connection.set_presence("", "OK 1/1", '{"level":"ok","ok":1}')
        site.life = asyncio.create_task(site.connection.run())
        made.append(site)
    try:
        async with asyncio.timeout(30):
            for site in made:
                await site.connection.wait_online()
        yield
    finally:
        for site in made:
            site.life.cancel()
        await asyncio.wait([site.life for site in made])
