"""Lines that people type, in a room or one to one, and what they read in answer. Conventions: docs/chat.md.

In a room an agent speaks only when addressed: `!line` for all, `!line @target`, or `site: line`. What it has to say
goes to the asker alone, unless exactly one site was named. One to one the prefix is optional. Nothing is ever done of
what came late, was edited, was sent by another agent, or has nobody's real address behind it.
"""

import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from amon.access import BadSignature, Quota
from amon.clock import Clock
from amon.errors import Failed, Invalid
from amon.ids import new_id, typed_id
from amon.runtime.dispatch import Dispatch
from amon.runtime.incoming import Door, Incoming, Output
from amon.runtime.loops import SAME, Loops
from amon.runtime.pages import Behind, Pages, shown
from amon.runtime.questions import CONFIRM_WITHIN, Questions
from amon.runtime.seals import REFUSAL
from amon.runtime.spoken import Reach, Say, Spoken, said_error
from amon.runtime.typed import Line, direct, named, prefixed, whole
from amon.target import Facts
from amon.wire import Ended
from amon.words import Asker
from amon.xmpp.events import Received

if TYPE_CHECKING:
    from amon.runtime.following import Followings
    from amon.runtime.gathered import Gatherer, Telling
    from amon.runtime.sharing import Sharing, Upload

_NOTICE_EVERY = 3600.0
_MISTAKES_WITHIN = 600.0
_LATE = "this came late and was not done; send it again if you still want it"
_EDITED = "an edited line is not done; send it as a new one"
_PRIVATE = "I answer in the room or to my own address, not to private messages of a room"


class Voice(Protocol):
    """How an account speaks; each says whether it went out."""

    def say(self, to: str, text: str, *, unstyled: bool = False, id: str = "", replaces: str = "") -> bool: ...  # noqa: A002

    def say_room(self, room: str, text: str) -> bool: ...

    def composing(self, to: str, on: bool) -> bool: ...

    async def ping(self, to: str) -> bool | None:
        """Whether the client at that address is there; None if it does not say."""
        ...


class Chat:
    """The front for typed lines of one account.

    site: this site's name in that account. facts: what targets are matched against, asked anew each time. mistakes: so
    many of one person within ten minutes are answered; same: so often he may get the same answer. Two programs that
    answer each other fall silent then; alarm: told of that in words. `prefix` may be another after a reload.
    gatherer: who sums up what is typed for many, where the policy names a hub. upload: puts a file on the server.
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
        mistakes: int = 100,
        same: int = SAME,
        alarm: Callable[[str], None] = lambda text: None,
        gatherer: "Callable[[], Gatherer | None]" = lambda: None,
        upload: "Upload | None" = None,
    ) -> None:
        self._site = site
        self.door = door
        self._dispatch = dispatch
        self._voice = voice
        self._clock = clock
        self._facts = facts
        self.prefix = prefix
        self._pages = Pages(clock)
        self._questions = Questions(site, door, clock)
        self._under: dict[str, Spoken] = {}
        self._noted: dict[str, str] = {}
        self._followings: Followings | None = None
        self._notices = Quota(1, _NOTICE_EVERY)
        self._mistakes = Quota(mistakes, _MISTAKES_WITHIN)
        self._loops = Loops(clock, alarm, same)
        self._gatherer = gatherer
        self._upload = upload
        self._sharing: Sharing | None = None

    async def received(self, message: Received) -> None:
        """Handle one line to its end. Silence is an answer, too."""
        if message.sender is None or not message.text.strip():
            return
        asker = Asker(message.sender, message.reply_to, message.room)
        if self.door.authority.is_agent(asker) or self._loops.muted(asker.jid):
            return  # agents do not talk to each other, not even to refuse: that is how loops begin
        if message.room is not None and not message.private_in_room:
            await self._in_room(message, asker)
        else:
            await self._alone(message, asker)

    async def _in_room(self, message: Received, asker: Asker) -> None:
        if message.delayed:
            return
        try:
            line = named(message.text, self._site, self.prefix)
        except Invalid as wrong:
            self._mistaken(asker, wrong)
            return
        try:
            line = line or prefixed(message.text, self.prefix, self._facts)
        except Invalid:
            return  # a hundred sites would say the same
        if line is not None and line.alone and message.edited and self._is_known(asker):
            self._answer(asker, line.alone, _EDITED)
        elif line is not None and not message.edited:
            await self._do(message, asker, line)

    async def _alone(self, message: Received, asker: Asker) -> None:
        odd = _PRIVATE if message.private_in_room else _LATE if message.delayed else _EDITED if message.edited else ""
        if not self._is_known(asker):
            if not odd:
                await self._do(message, asker, Line(message.text.strip(), Reach.alone))
            return
        if odd:
            self._tell(asker.reply_to, odd)
            return
        try:
            line = direct(message.text, self.prefix)
        except Invalid as wrong:
            self._mistaken(asker, wrong)
            return
        if line.target is not None and self._dispatch.names_sites(line.text):
            line = whole(message.text, self.prefix)  # `probe ping @desy`: nobody else is meant one to one
        if line.target is None or line.target.matches(self._facts()):
            await self._do(message, asker, line)
        else:
            self._tell(asker.reply_to, f"{self._site} is not in {line.target}; nothing was done")

    async def _do(self, message: Received, asker: Asker, line: Line) -> None:
        incoming = self._incoming(message, asker, line)
        if not self._is_known(asker):
            replies = self._gathered(incoming, line, self._to_stranger(asker, line))
            async with replies.patience():
                await self._dispatch.handle(incoming, replies)
        elif line.first == "yes":
            await self._confirmed(asker, line)
        elif line.first == "ok" and line.rest:
            await self._signed(incoming, line)
        elif line.text.lower() == "more":
            await self._more(asker, line)
        elif line.text.lower() == "file":
            await self._file(incoming, line)
        elif line.text.lower() == "cancel":
            self._cancel(asker, line)
        elif line.first == "stop" and self._stop(asker, line):
            pass
        elif line.text:
            await self._ask(incoming, line)

    def _incoming(self, message: Received, asker: Asker, line: Line) -> Incoming:
        now = self._clock.time()
        ident = typed_id(asker.jid, message.room, message.id) if message.id else new_id(now)
        return Incoming(ident, asker, line.text, self.door, sites=1 if line.alone else 2, typed=True)

    async def _ask(self, incoming: Incoming, line: Line) -> None:
        asker = incoming.asker
        spoken: Spoken = Spoken(
            self._site,
            line.text,
            line.reach,
            lambda text, rest="": self._answer(asker, line.alone, text, rest, behind=_behind(incoming, spoken.told)),
            lambda *about: self._questions.ask(incoming, line, self.prefix, *about),
            lambda: self._may_complain(asker),
            self._clock,
            partial(self._follow, asker),
            partial(self._note, asker.reply_to) if asker.room is None else None,
        )
        if asker.room is None:
            self._voice.composing(asker.reply_to, True)
        replies = self._gathered(incoming, line, spoken)
        self._under.setdefault(incoming.id, spoken)
        try:
            async with replies.patience():
                await self._dispatch.handle(incoming, replies)
        finally:
            if self._under.get(incoming.id) is spoken:
                del self._under[incoming.id]

    def _gathered(self, incoming: Incoming, line: Line, spoken: Spoken) -> "Spoken | Telling":
        """What was typed for many is answered by the hub, where the policy names one and it is there."""
        gatherer = None if line.alone else self._gatherer()
        return (gatherer and gatherer.replies(incoming, spoken)) or spoken

    def _is_summed(self, asker: Asker) -> bool:
        """Whether the hub hears what is said here for many, and says itself what there is to say of it."""
        gatherer = self._gatherer() if asker.room else None
        return gatherer is not None and gatherer.where(asker.room or "") is not None

    def _to_stranger(self, asker: Asker, line: Line) -> Spoken:
        """Dispatch refuses and writes it down; of that a stranger is told once an hour, and in a crowd nothing.

        So is everybody while the policy lets nobody in, and who may do something only with a signature.
        """

        def notice(text: str, rest: str = "") -> None:
            why = self.door.authority.decide(asker, None, self._clock.time()).reason
            self._tell(asker.reply_to, f"{self._site}: {why}")

        def complain() -> bool:
            return line.alone and self._notices.take(asker.jid, self._clock.monotonic()) > 0

        return Spoken(self._site, "", line.reach, notice, lambda effect, plan, signature: "", complain, self._clock)

    # Confirming, cancelling, reading on

    async def _signed(self, incoming: Incoming, line: Line) -> None:
        """A signature that somebody pasted, under the newest line he was asked to sign that it fits."""
        asker = incoming.asker
        try:
            question, by = self._questions.signed(asker, line.rest, self._dispatch.seals)
        except BadSignature as bad:
            await self._reject(incoming, line, str(bad))
        else:
            await self._ask(replace(question.incoming, asker=replace(asker, key=by), door=self.door), question.line)

    async def _reject(self, incoming: Incoming, line: Line, detail: str) -> None:
        asker = incoming.asker
        unread = replace(incoming, line="")
        spoken = Spoken(
            self._site,
            "ok",
            line.reach,
            lambda text, rest="": self._answer(asker, line.alone, REFUSAL),
            lambda effect, plan, signature: "",
            lambda: self._may_complain(asker),
            self._clock,
        )
        await self._dispatch.reject(unread, detail, spoken)

    async def _confirmed(self, asker: Asker, line: Line) -> None:
        """Said in the room it is for every site that asked; said to one of them it is for that one."""
        word = line.rest.upper()
        question = self._questions.confirmed(asker, word)
        if question is None:
            self._mistyped(asker, line, word)
        elif self._questions.too_late(question):
            if not question.line.alone and self._is_summed(asker):
                return
            text = f"yes {word} came after {CONFIRM_WITHIN:g} s; nothing was done, ask again"
            self._answer(asker, question.line.alone, text)
        else:
            await self._ask(replace(question.incoming, asker=asker, door=self.door), question.line)

    def _mistyped(self, asker: Asker, line: Line, word: str) -> None:
        """Not a word that is waited for. In a room only those sites say so that have just asked for one like it.

        They are as many as have asked, and tell him alone; all others may not even know that there is a question.
        """
        # Where one site answers, or he said only `yes`, the newest question may be named.
        meant = self._questions.meant(asker, word, newest=line.alone or not word)
        if not line.alone and (self._is_summed(asker) or not (meant and self._may_complain(asker))):
            return
        site, prefix = ("", "") if line.alone else (f"{self._site}: ", self.prefix)
        hint = f"nothing was done, did you mean {prefix}yes {meant}?" if meant else "ask again"
        self._answer(asker, line.alone, f"{site}there is nothing to say {f'yes {word[:8]}'.strip()} to; {hint}")

    def _cancel(self, asker: Asker, line: Line) -> None:
        """End what this person asked by typing; each call tells its own end."""
        keys = [(self.door.account, asker.jid, ident) for ident in self._under]  # those of others match nothing
        if not [key for key in keys if self._dispatch.cancel(key)] and line.alone:
            self._answer(asker, line.alone, "nothing of yours is under way here")

    def _follow(self, asker: Asker, session: Output) -> Say:
        """What a session says goes to its asker alone, wherever he asked for it; so does how it ended."""
        if self._followings is None:
            from amon.runtime.following import Followings

            self._followings = Followings(self._tell, self._voice.ping, self._clock, self._note)
        self._followings.tell(asker, session)
        return lambda text, rest="": self._answer(asker, False, text, rest)

    def _stop(self, asker: Asker, line: Line) -> bool:
        """End the session that is meant, or all. False: none is; then it is a line like others (`stop httpd`)."""
        mine = self._followings.of(asker) if self._followings is not None else {}
        if self._followings is None or not mine:
            return False
        meant = self._followings.named(asker, line.rest.upper())
        for ident in meant:
            self._dispatch.cancel((self.door.account, asker.jid, ident))
        if not meant and not line.rest:
            self._answer(asker, line.alone, f"several are open: {', '.join(mine.values())}; say stop ID, or stop all")
        return bool(meant) or not line.rest

    async def _more(self, asker: Asker, line: Line) -> None:
        where = self._where(asker, line.alone)
        try:
            page = await self._pages.more(where, lambda *part: self._dispatch.outputs().text(*part))
        except Failed as fault:
            self._answer(asker, line.alone, str(fault))
            return
        if page is not None:
            self._utter(asker, where, shown(page, goes_on=True))
        elif line.alone:
            self._answer(asker, line.alone, "there is no more; ask again")

    async def _file(self, incoming: Incoming, line: Line) -> None:
        """The last long answer as a file. Its link is a secret: it goes to him alone, wherever he asked."""
        asker, source = incoming.asker, self._pages.last(self._where(incoming.asker, line.alone))
        if source is None or self._upload is None:
            if line.alone:
                self._answer(asker, line.alone, "there is no long answer to put into a file; ask again, then say file")
            return
        if self._sharing is None:
            from amon.runtime.sharing import Sharing  # seldom asked for

            self._sharing = Sharing(self._site, self._dispatch, self._upload, self._clock)
        self._tell(asker.reply_to, await self._sharing.share(incoming, source))

    # Saying

    def _answer(self, asker: Asker, alone: bool, text: str, rest: str = "", *, behind: Behind | None = None) -> None:
        """Say it in the room only where exactly one site was named, else to the asker alone."""
        where = self._where(asker, alone)
        self._utter(asker, where, shown(self._pages.first(where, text, rest, behind)))

    def _utter(self, asker: Asker, where: tuple[str, str | None], page: str) -> None:
        self._loops.said(asker.jid, page)
        if where[1] is not None:
            self._voice.say_room(where[1], page)
        else:
            self._tell(asker.reply_to, page)

    def _tell(self, to: str, text: str, *, unstyled: bool = False) -> bool:
        self._noted.pop(to, None)  # it is not the last thing said there any more
        return self._voice.say(to, text, unstyled=unstyled)

    def _note(self, to: str, text: str, replaces: str) -> str:
        """How far it is, in the place of the last message to that address; see `Note`."""
        if replaces and self._noted.get(to) != replaces:
            return ""
        ident = secrets.token_hex(8)
        if not self._voice.say(to, text, id=ident, replaces=replaces):
            return ""
        self._noted[to] = replaces or ident
        return self._noted[to]

    def _where(self, asker: Asker, alone: bool) -> tuple[str, str | None]:
        return asker.jid, asker.room if alone else None

    def _mistaken(self, asker: Asker, wrong: Invalid) -> None:
        if self._is_known(asker) and self._may_complain(asker):
            self._tell(asker.reply_to, said_error(self._site, wrong))

    def _may_complain(self, asker: Asker) -> bool:
        return self._mistakes.take(asker.jid, self._clock.monotonic()) > 0

    def _is_known(self, asker: Asker) -> bool:
        return self.door.authority.decide(asker, None, self._clock.time()).allowed


def _behind(incoming: Incoming, told: Ended | None) -> Behind | None:
    """What comes after the text of an outcome that was too long."""
    if told is None or told.whole is None:
        return None
    lines = max(1, told.whole.lines - told.text.count("\n") - 1)
    return Behind(incoming.key, len(told.text.encode()), lines)
