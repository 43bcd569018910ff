"""People who type, and one site called cern that listens: a chat front whose voice remembers."""

import asyncio

from amon.ids import code, typed_id
from amon.runtime.chat import Chat
from amon.runtime.incoming import Door
from amon.target import Facts
from amon.xmpp.events import Received
from tests.runtime.scene import ALICE, DOOR, Site

ROOM = "ops@rooms.example.org"
DESK = f"{ALICE}/desk"


class Voice:
    """Remembers what was said, to whom, and whether it still seems to type."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.unstyled: set[str] = set()
        self.ids: list[tuple[str, str]] = []  # of each message, with the id of the one it replaces
        self.is_there: bool | None = True
        self.pings = 0
        self.typing: set[str] = set()
        self.changed = asyncio.Event()

    def say(self, to: str, text: str, *, unstyled: bool = False, id: str = "", replaces: str = "") -> bool:  # noqa: A002
        self.said.append((to, text))
        self.ids.append((id, replaces))
        if unstyled:
            self.unstyled.add(text)
        self.typing.discard(to)
        self.changed.set()
        return True

    def say_room(self, room: str, text: str) -> bool:
        return self.say(room, text)

    def composing(self, to: str, on: bool) -> bool:
        (self.typing.add if on else self.typing.discard)(to)
        return True

    async def ping(self, to: str) -> bool | None:
        self.pings += 1
        return self.is_there


class Talk:
    """People who type, and one site called cern that listens."""

    def __init__(self, lab: Site) -> None:
        self.lab = lab
        self.voice = Voice()
        self.count = 0
        self.name = "cern"
        self.chat = self.front()

    def front(self, door: Door = DOOR, mistakes: int = 100) -> Chat:
        return Chat("cern", door, self.lab.node.dispatch, self.voice, self.lab.clock, self.facts, mistakes=mistakes)

    def facts(self) -> Facts:
        picture = self.lab.node.picture()
        parts = {trouble.name: trouble.state for trouble in picture.troubles}
        return Facts(self.name, {"tier": "1"}, picture.level.word, parts, frozenset({"lab"}))

    async def room(self, text: str, by: str = ALICE, **more: object) -> list[tuple[str, str]]:
        """Say it in the room; who was told what because of it."""
        return await self.hear(self.message(text, by, room=ROOM, kind="groupchat", **more))

    async def alone(self, text: str, by: str = ALICE, **more: object) -> list[str]:
        """Say it one to one; what was said back."""
        said = await self.hear(self.message(text, by, **more))
        assert {to for to, _ in said} <= {f"{by}/desk"}
        return [text for _, text in said]

    def message(self, text: str, by: str = ALICE, **more: object) -> Received:
        self.count += 1
        fields = {"id": f"m{self.count}", **more}
        return Received(by, f"{by}/desk", text, **fields)  # type: ignore[arg-type]

    async def hear(self, message: Received) -> list[tuple[str, str]]:
        self.voice.said.clear()
        await self.chat.received(message)
        return list(self.voice.said)

    async def word(self) -> str:
        """The word that confirms the last line said in the room."""
        return code(typed_id(ALICE, ROOM, f"m{self.count}"))
