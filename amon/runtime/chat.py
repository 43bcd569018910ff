"""Lines that people type, in a room or one to one, and what they read in answer. Conventions: docs/chat.md.

In a room an agent speaks only when addressed: `!line` for all, `!line @target`, or `site: line`. What it has to say
goes to the asker alone, unless exactly one site was named. One to one the prefix is optional. Nothing is ever done of
what came late, was edited, was sent by another agent, or has nobody's real address behind it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from amon.clock import Clock
from amon.command import split
from amon.command.line import Word
from amon.errors import Invalid
from amon.ids import code, new_id, typed_id
from amon.runtime.dispatch import Dispatch
from amon.runtime.incoming import Door, Incoming
from amon.runtime.pages import Pages, shown
from amon.runtime.spoken import Spoken, said_error
from amon.target import Expression, Facts, parse
from amon.text import normal_line
from amon.words import Asker, Effect, Role
from amon.xmpp.events import Received

_CONFIRM_WITHIN = 60.0
_MOST_PENDING = 200
_NOTICE_EVERY = 3600.0


class Voice(Protocol):
    """How an account speaks; each says whether it went out."""

    def say(self, to: str, text: str) -> bool: ...

    def say_room(self, room: str, text: str) -> bool: ...

    def composing(self, to: str, on: bool) -> bool: ...


@dataclass(frozen=True, slots=True)
class Line:
    """A typed line taken apart: what is asked, of whom, and whether exactly one site was named."""

    text: str
    target: Expression | None
    alone: bool


class Chat:
    """The front for typed lines of one account.

    site: this site's name in that account. facts: what targets are matched against, asked anew each time.
    """

    def __init__(
        self,
        site: str,
        door: Door,
        dispatch: Dispatch,
        voice: Voice,
        clock: Clock,
        facts: Callable[[], Facts],
        prefix: str = "!",
    ) -> None:
        self._site = site
        self._door = door
        self._dispatch = dispatch
        self._voice = voice
        self._clock = clock
        self._facts = facts
        self._prefix = prefix
        self._pages = Pages(clock)
        self._pending: dict[tuple[str, str], tuple[float, Incoming, Line]] = {}
        self._noticed: dict[str, float] = {}

    async def received(self, message: Received) -> None:
        """Handle one line to its end. Silence is an answer, too."""
        if message.sender is None or not message.text.strip():
            return
        asker = Asker(message.sender, message.reply_to, message.room)
        if asker.domain.lower() == self._door.agents_domain.lower():
            return  # agents do not talk to each other, not even to refuse: that is how loops begin
        if message.room is not None and not message.private_in_room:
            await self._in_room(message, asker)
        else:
            await self._alone(message, asker)

    async def _in_room(self, message: Received, asker: Asker) -> None:
        if message.delayed or message.edited:
            return
        try:
            line = self._addressed(message.text)
        except Invalid as wrong:
            if self._is_known(asker):
                self._voice.say(asker.reply_to, said_error(self._site, wrong))
            return
        if line is not None:
            await self._do(message, asker, line)

    async def _alone(self, message: Received, asker: Asker) -> None:
        if not self._is_known(asker):
            self._notice(asker)
        elif message.private_in_room:
            self._voice.say(
                asker.reply_to, "I answer in the room or to my own address, not to private messages of a room"
            )
        elif message.delayed:
            self._voice.say(asker.reply_to, "this came late and was not done; send it again if you still want it")
        elif message.edited:
            self._voice.say(asker.reply_to, "an edited line is not done; send it as a new one")
        else:
            try:
                text = normal_line(message.text)
                line = self._with_target(text.removeprefix(self._prefix).strip(), alone=True)
            except Invalid as wrong:
                self._voice.say(asker.reply_to, said_error(self._site, wrong))
                return
            if line.target is None or line.target.matches(self._facts()):
                await self._do(message, asker, replace(line, alone=True))
            else:
                self._voice.say(asker.reply_to, f"{self._site} is not in {line.target}; nothing was done")

    def _addressed(self, text: str) -> Line | None:
        """The line if it is meant for this site; None if it is none of its business."""
        head = text.lstrip()[:300]
        if head.startswith(self._prefix):
            line = self._with_target(normal_line(text)[len(self._prefix) :].strip(), alone=False)
            return line if line.target is None or line.target.matches(self._facts()) else None
        for mark in (":", ","):
            name, found, _ = head.partition(mark)
            if found and name.strip().lower() == self._site.lower():
                rest = normal_line(text).partition(mark)[2].strip().removeprefix(self._prefix).strip()
                return Line(rest, parse(self._site), True)
        return None

    def _with_target(self, text: str, *, alone: bool) -> Line:
        """Take the `@target` words out of a line; several mean any of them."""
        words = [word for word in split(text) if not word.quoted and word.text.startswith("@") and len(word.text) > 1]
        if not words:
            return Line(text, None, alone)
        target = parse(", ".join(word.text[1:] for word in words))
        rest = _without(text, words)
        return Line(rest, target, target.plain_name() is not None)

    async def _do(self, message: Received, asker: Asker, line: Line) -> None:
        first, _, rest = line.text.partition(" ")
        if first == "yes":
            await self._confirmed(asker, rest.strip().upper(), line.alone)
        elif first == "more":
            self._answer(asker, line.alone, self._pages.more(asker.jid))
        elif line.text:
            await self._ask(self._incoming(message, asker, line), line)

    def _incoming(self, message: Received, asker: Asker, line: Line) -> Incoming:
        now = self._clock.time()
        ident = typed_id(asker.jid, message.room, message.id) if message.id else new_id(now)
        return Incoming(ident, asker, line.text, self._door, sites=1 if line.alone else 2)

    async def _ask(self, incoming: Incoming, line: Line) -> None:
        broadcast = line.target is None and not line.alone
        spoken = Spoken(self._site, incoming, broadcast=broadcast, alone=line.alone, clock=self._clock)
        spoken.say = lambda text: self._answer(incoming.asker, line.alone, text)
        spoken.confirm = lambda effect, plan: self._ask_back(incoming, line, effect, plan)
        if incoming.asker.room is None:
            self._voice.composing(incoming.asker.reply_to, True)
        async with spoken.patience():
            await self._dispatch.handle(incoming, spoken)

    def _ask_back(self, incoming: Incoming, line: Line, effect: Effect, plan: str) -> str:
        """What to say instead of doing it: which sites must be typed, then a word that confirms."""
        if line.target is None:
            return f"this would change {self._site}: say which sites, @{self._site} or @all"
        word = code(incoming.id)
        self._pending[incoming.asker.jid, word] = (self._clock.monotonic(), replace(incoming, confirmed=True), line)
        while len(self._pending) > _MOST_PENDING:
            del self._pending[next(iter(self._pending))]
        how = f"say {self._prefix}yes {word} within {_CONFIRM_WITHIN:g} s"
        return f"{self._site}: {plan}\n{effect} on several sites: {how}"

    async def _confirmed(self, asker: Asker, word: str, alone: bool) -> None:
        since, incoming, line = self._pending.pop((asker.jid, word), (0.0, None, None))
        if incoming is None or line is None or incoming.asker.room != asker.room:
            if alone and self._is_known(asker):
                self._answer(asker, alone, f"there is nothing to say yes {word} to; ask again")
        elif self._clock.monotonic() - since > _CONFIRM_WITHIN:
            self._answer(asker, line.alone, f"{word} came after {_CONFIRM_WITHIN:g} s; nothing was done, ask again")
        else:
            await self._ask(replace(incoming, asker=asker), line)

    def _answer(self, asker: Asker, alone: bool, text: str) -> None:
        """Say it in the room only where exactly one site was named, else to the asker alone."""
        if not text:
            return
        page = self._pages.first(asker.jid, text)
        if asker.room is not None and alone:
            self._voice.say_room(asker.room, shown(page))
        else:
            self._voice.say(asker.reply_to, shown(page))

    def _is_known(self, asker: Asker) -> bool:
        return self._door.policy.decide(asker, Role.observer, self._door.agents_domain).allowed

    def _notice(self, asker: Asker) -> None:
        """A stranger is told so once an hour, and otherwise meets silence."""
        now = self._clock.monotonic()
        if now - self._noticed.get(asker.jid, -_NOTICE_EVERY) >= _NOTICE_EVERY and len(self._noticed) < 1000:
            self._noticed[asker.jid] = now
            self._voice.say(asker.reply_to, f"{asker.jid} has no role at {self._site}; ask its owner for one")


def _without(text: str, words: list[Word]) -> str:
    for word in reversed(words):
        text = text[: word.start] + text[word.end :]
    return " ".join(text.split(" ")).strip()
