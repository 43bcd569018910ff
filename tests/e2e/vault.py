"""A module that does with secrets whatever an author may get wrong: quotes them, raises them, logs them, shows them."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from amon.command import Call, command
from amon.errors import Failed, Invalid, Refused
from amon.fields import Field, Secret
from amon.health import Health
from amon.module import Env, Module

What = Annotated[
    Literal["good", "failed", "refused", "invalid", "bug", "task", "late", "data", "progress", "health", "log"],
    Field("what goes wrong"),
]
Key = Annotated[Secret, Field("what lets in", pattern=r"\S+", longest=64, secret=True)]
Word = Annotated[str, Field("the same as text", pattern=r"\S+", longest=64, secret=True)]


@dataclass(frozen=True, slots=True)
class Settings:
    token: Annotated[Secret, Field("lets the module in somewhere", secret=True)]
    more: Annotated[tuple[Secret, ...], Field("others", longest=9)] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    said: str
    more: dict[str, list[str]]

    def __str__(self) -> str:
        return f"{self.name}: {self.said}"


class VaultModule(Module[Settings]):
    def __init__(self, env: Env[Settings]) -> None:
        super().__init__(env)
        self._shown = "well"
        self._left: list[asyncio.Task[None]] = []

    @command(timeout=5)
    async def login(self, call: Call, what: What, key: Key, word: Word = "no-secret-word") -> Entry:
        """Log in somewhere, and go wrong in one way."""
        all_of_it = " and ".join((key.reveal(), word, *self._own()))
        wrong: dict[str, Exception] = {
            "failed": Failed(f"the door did not take {all_of_it}"),
            "refused": Refused(f"nobody gets in with {all_of_it}"),
            "invalid": Invalid(f"{all_of_it} is wrong", f"login {all_of_it}", 6, 12),
            "bug": RuntimeError(f"{all_of_it!r}"),
            "late": TimeoutError(all_of_it),
        }
        if what in wrong:
            raise wrong[what]
        await self._odd(what, call, all_of_it)
        return Entry("in", all_of_it if what == "data" else "fine", {all_of_it: [all_of_it]} if what == "data" else {})

    async def _odd(self, what: str, call: Call, text: str) -> None:
        if what == "progress":
            call.note(f"trying {text}")
        elif what == "log":
            self.env.log.warning("%s %r %s", text, [text], self.env.settings)
        elif what == "health":
            self._shown = text
            self.env.changed()
        elif what == "task":
            asyncio.get_running_loop().call_exception_handler({"message": text, "exception": ValueError(text)})
            self._left = [asyncio.create_task(_raise(text), name=text)]
            await asyncio.wait(self._left)
            self._left.clear()

    def _own(self) -> list[str]:
        settings: Any = self.env.settings
        return [one.reveal() for one in (settings.token, *settings.more)]

    def health(self) -> Health:
        return (
            Health.good() if self._shown == "well" else Health.of({"door": Health.bad(self._shown, state=self._shown)})
        )


async def _raise(text: str) -> None:
    raise ValueError(text)
