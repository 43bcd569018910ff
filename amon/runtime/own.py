"""The agent's own commands: how the site is, what can be asked, and who one is.

They are declared like any module's, so that the same grammar, rights, journal and answers hold for them.
"""

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from amon.command import Call, Grammar, command, split
from amon.command.complete import complete
from amon.command.declare import Command
from amon.command.manual import overview, page
from amon.errors import Invalid, Refused
from amon.fields import Field
from amon.module import Env, Module
from amon.runtime.about import amon_version
from amon.units import age
from amon.words import Role

if TYPE_CHECKING:
    from amon.runtime.node import Node
    from amon.runtime.sessions import Session

Names = Annotated[tuple[Annotated[str, Field(pattern=r"[\w.@-]+", longest=64)], ...], Field("a command", longest=3)]
Do = Annotated[Literal["list", "stop"], Field("what to do")]
Ends = Annotated[str, Field("the end of its id, or all", pattern=r"[0-9A-Za-z]*", longest=26)]
Word = Annotated[str, Field("the letters that were said", pattern=r"[0-9A-Za-z]+", longest=26)]
Words = Annotated[str, Field("what to look up", pattern=r"[\w ./@:=-]*", longest=200)]


@dataclass(frozen=True, slots=True)
class Page:
    text: Annotated[str, Field("as it is to be read")]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Part:
    name: Annotated[str, Field("instance/part")]
    level: Annotated[str, Field("ok, maint, unknown, warn or crit")]
    state: Annotated[str, Field("one word")]
    text: Annotated[str, Field("more words")]


@dataclass(frozen=True, slots=True)
class Status:
    level: Annotated[str, Field("the worst of all")]
    status: Annotated[str, Field("the line that presence shows")]
    parts: Annotated[tuple[Part, ...], Field("everything that is looked after, worst first")]

    def __str__(self) -> str:
        return self.status


@dataclass(frozen=True, slots=True)
class Loaded:
    instance: Annotated[str, Field("its name here")]
    module: Annotated[str, Field("what it is an instance of")]
    level: Annotated[str, Field("its health")]
    restarts: Annotated[int, Field("how often it crashed and was started again", unit="1")]
    text: Annotated[str, Field("what is wrong, if anything is")]


@dataclass(frozen=True, slots=True)
class Me:
    jid: Annotated[str, Field("the address this site sees")]
    role: Annotated[str, Field("what it may here")]
    rule: Annotated[str, Field("the line of the policy that says so")]

    def __str__(self) -> str:
        return f"you are {self.jid}, {self.role} here (rule: {self.rule})"


@dataclass(frozen=True, slots=True)
class Version:
    agent: Annotated[str, Field("version of amon")]
    python: Annotated[str, Field("version of Python")]
    system: Annotated[str, Field("operating system")]
    up: Annotated[float, Field("age of this agent", unit="s")]

    def __str__(self) -> str:
        return f"amon {self.agent}, Python {self.python}, {self.system}, agent up {age(self.up)}"


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that is open."""

    id: Annotated[str, Field("the end of its id; sessions stop ID ends it")]
    who: Annotated[str, Field("whose it is")]
    what: Annotated[str, Field("what it tells")]
    age: Annotated[float, Field("since when", unit="s")]
    sent: Annotated[int, Field("lines or rows that were taken")]
    missed: Annotated[int, Field("of those left out: nobody was there fast enough")]


class AgentModule(Module[None]):
    """Its instance is called `agent`, and its commands need no name in front."""

    def __init__(self, env: Env[None], node: "Node") -> None:
        super().__init__(env)
        self._node = node
        self._began = env.clock.monotonic()

    @command()
    async def status(self, call: Call) -> Status:
        """How this site is, in one line; --json shows every part."""
        picture = self._node.picture()
        bad = [Part(t.name, t.level.word, t.state, t.text) for t in picture.troubles]
        named = {part.name for part in bad}
        leaves = [leaf for name, health in self._node.healths().items() for leaf in health.leaves(name)]
        good = [Part(name, leaf.level.word, leaf.state, leaf.text) for name, leaf in leaves if name not in named]
        return Status(picture.level.word, picture.status, (*bad, *sorted(good, key=lambda part: part.name)))

    @command()
    async def help(self, call: Call, about: Names = ()) -> Page:
        """What you may ask for here; `help COMMAND` tells how."""
        offered, allowed = self._node.offered(), self._allowed(call)
        if not about:
            return Page(overview(offered, allowed))
        name = about[0]
        if len(about) == 1 and name in offered and name not in offered[name]:
            return Page(self._of_instance(name, offered[name], allowed))
        ask = _find(Grammar(offered), " ".join(about))
        if not allowed(*ask):
            raise Refused(f"{' '.join(about)} needs role {ask[1].role}")
        return Page(page(*ask))

    @command()
    async def whoami(self, call: Call) -> Me:
        """Who you are to this site, and why."""
        return Me(call.asker.jid, str(call.role), call.rule)

    @command()
    async def version(self, call: Call) -> Version:
        """Versions of the agent and of what it runs on."""
        system = f"{platform.system()} {platform.release()}"
        return Version(amon_version(), platform.python_version(), system, self.env.clock.monotonic() - self._began)

    @command()
    async def modules(self, call: Call) -> list[Loaded]:
        """What is loaded here, and what failed to load and why."""
        rows = []
        for instance in self._node.instances():
            health = instance.health()
            rows.append(Loaded(instance.name, instance.kind, health.level.word, instance.restarts, health.text[:200]))
        rows += [Loaded(name, "-", "crit", 0, reason) for name, reason in self._node.missing().items()]
        return rows

    @command()
    async def complete(self, call: Call, line: Words = "") -> Page:
        """The words that may come next in a line; for consoles."""
        words = complete(line, self._node.offered(), self._node.candidates)
        return Page("\n".join(words[:200]))

    @command()
    async def approve(self, call: Call, word: Word) -> Page:
        """See what somebody else's request is that waits for a second person, and say yes to it."""
        return Page(self._node.dispatch.approve(call.asker, call.id, word))

    @command()
    async def sessions(self, call: Call, do: Do = "list", which: Ends = "") -> list[Opened] | Page:
        """The sessions that are open here; `sessions stop ID` ends one of them.

        Everybody sees and ends his own, an admin everybody's. `sessions stop all` ends all of one's own.
        """
        held = self._node.dispatch.sessions
        mine = [one for one in held.all() if self._is_his(call, one)]
        if do == "list":
            now = self.env.clock.monotonic()
            return [
                Opened(held.name_of(one), one.incoming.asker.jid, one.name, now - one.began, one.taken, one.missed)
                for one in mine
            ]
        if which.lower() == "all":
            meant = [one for one in mine if one.incoming.asker.jid == call.asker.jid]
        else:
            meant = [one for one in mine if which and one.id.endswith(which.upper())]
            if len(meant) > 1:
                raise Refused(f"{len(meant)} sessions end in {which}; say more of its id")
        if not meant:
            raise Refused(f"there is no session {which or 'of no name'!r} of yours here; see: sessions")
        for one in meant:
            one.end("stopped by you" if one.incoming.asker.jid == call.asker.jid else f"stopped by {call.asker.jid}")
        return Page("\n".join(f"stopped {held.name_of(one)} {one.name} of {one.incoming.asker.jid}" for one in meant))

    def _is_his(self, call: Call, session: "Session") -> bool:
        """Those that came through another account are another organisation's business."""
        asker, through = session.incoming.asker, session.incoming.door.account
        return through == call.account and (asker.jid == call.asker.jid or call.role >= Role.admin)

    def _allowed(self, call: Call) -> Callable[[str, Command], bool]:
        return call.may

    def _of_instance(self, name: str, commands: Mapping[str, Command], allowed: Callable[[str, Command], bool]) -> str:
        lines = [f"{name} {one.name}: {one.summary}" for one in commands.values() if allowed(name, one)]
        return "\n".join(lines) or f"you may ask nothing of {name}"


def _find(grammar: Grammar, about: str) -> tuple[str, Command]:
    words = split(about)
    instance, found, used = grammar.find(about, words)
    if used < len(words):
        raise Invalid(f"there is no command {about!r}; try help", about, words[used].start, words[used].end)
    return instance, found
