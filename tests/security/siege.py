"""A live agent under attack: a process on a real server, whose only module writes down whatever it is made to do.

The module comes in as any other one would, by an entry point of a distribution; nothing of the agent is patched.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from admin_console.server import PrivateServer
from admin_console.server.accounts import encoded, write_account
from amon.ids import new_id
from amon.wire import Ended, Request, decode, encode
from amon.xmpp import names
from amon.xmpp.login import Login
from tests.e2e.world import ALICE, BOB, OPS, PASSWORD, AgentProcess, World
from tests.security.attacker import Attacker, attacking
from tests.security.marks import install

EVE, THIEF = "eve@amon.test", "desy@agents.amon.test"
AGENT = "cern@agents.amon.test"
FULL = f"{AGENT}/agent"
_WHO = f'admin = ["{ALICE}"]\nobserver = ["{BOB}"]'


@dataclass
class Attempt:
    """One line of the log: what was tried, by whom, what came back to them."""

    name: str
    by: str
    sent: str
    back: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        back = " | ".join(self.back) or "nothing"
        return f"{self.name:<44} {self.by:<22} {self.sent[:90]!r:<94} -> {back[:120]}"


class Siege:
    """The agent `cern`; alice, who may, in person; eve, who has an account; the thief of desy's account."""

    def __init__(self, world: World, agent: AgentProcess, effects: Path) -> None:
        self.world, self.agent, self._effects = world, agent, effects
        self.attempts: list[Attempt] = []
        self.controls: list[str] = []
        self.shows_plans = False  # to who has the account of an admin and not the key: a plan changes nothing
        self.alice: Attacker
        self.helm: Attacker  # alice too, with another client: whatever is attempted, she goes on working
        self.eve: Attacker
        self.thief: Attacker

    # --- attacks

    def word(self) -> str:
        """Names the next attempt in whatever it tries to do."""
        return f"attempt-{len(self.attempts) + 1}"

    async def attempt(self, name: str, who: Attacker, *stanzas: str) -> Attempt:
        """Sends these, and waits until the agent has handled them: it answers alice, who asks after that."""
        tried = Attempt(name, who.jid, stanzas[0])
        self.attempts.append(tried)
        before = len(who.heard_from(AGENT))
        for stanza in stanzas:
            await who.say(stanza)
        await self.settle()
        await who.barrier()
        tried.back = who.heard_from(AGENT)[before:]
        return tried

    def note(self, name: str, who: Attacker, sent: str, answer: Element) -> None:
        """An attempt that was a request with an answer."""
        self.attempts.append(Attempt(name, who.jid, sent, [answer.get("type", "")]))

    async def settle(self) -> None:
        """Until everything that was sent before is handled."""
        assert (await self.order(self.helm, "help")).state == "done"

    # --- the control: the same things by who may do them

    async def order(self, who: Attacker, line: str, ident: str = "") -> Ended:
        """A payload, direct, and its outcome."""
        ident = ident or self.new_id()
        await who.say(payload(request(line, ident)))
        return await self.outcome(who, ident)

    async def outcome(self, who: Attacker, ident: str) -> Ended:
        stanza = await who.wait(lambda one: one.get("id") in (f"{ident}-ended", f"{ident}-needsword"))
        told = decode(stanza.findtext(names.AMON) or "")
        assert isinstance(told, Ended), told
        return told

    async def control(self) -> None:
        """Alice's own order has its effect, by payload and typed, so that attempts could have had one."""
        word, other = self.expected(2)
        assert (await self.order(self.helm, f"mark {word}")).state == "done"
        await self.helm.say(chat(f"mark {other}"))
        await self.said(f"mark {other}")

    @asynccontextmanager
    async def proven(self, *controls: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """A block of attempts: before and after it alice's own orders have their effect, and nothing else ever has."""
        for control in controls:
            await control()
        yield
        for control in controls:
            await control()
        assert self.effects() == []

    async def control_in_room(self) -> None:
        """The same in the room."""
        word, other = self.expected(2)
        await self.helm.say_in_room(OPS, room_chat(f"cern: mark {word}"))
        await self.said(f"mark {word}")
        ident = self.new_id()
        await self.helm.say_in_room(OPS, room_payload(request(f"mark {other}", ident)))
        assert (await self.outcome(self.helm, ident)).state == "done"

    def expected(self, count: int) -> list[str]:
        """Words that may be written down, once each."""
        made = [f"control-{len(self.controls) + one}" for one in range(1, count + 1)]
        self.controls += made
        return made

    async def said(self, text: str) -> None:
        """Until the agent said this to alice."""
        await self.helm.wait(lambda one: (one.findtext(names.BODY) or "") == text)

    def effects(self) -> list[str]:
        """Everything the agent was made to do, besides the control."""
        wanted = {f"mark {word}" for word in self.controls}
        done = self._effects.read_text().splitlines() if self._effects.exists() else []
        assert [line for line in done if line in wanted] == [f"mark {word}" for word in self.controls], done
        return [line for line in done if line not in wanted and not (self.shows_plans and line.startswith("plan "))]

    def tell(self) -> None:
        """The log of attempts, shown with `pytest -s` and when the test fails."""
        for attempt in self.attempts:
            print(attempt)
        print(f"attempts {len(self.attempts)}, effects {len(self.effects())}, controls {len(self.controls)}")

    async def make_account(self, jid: str) -> None:
        """Also one that our own tools would not make, because people could take it for another."""
        server = self.world.server
        if isinstance(server, PrivateServer):
            name, _, domain = jid.partition("@")
            folder = server.folder / "data" / encoded(domain) / "accounts"
            write_account(folder / f"{encoded(name)}.dat", PASSWORD, 4096)
        else:
            await server.add_account(jid, PASSWORD)

    def new_id(self) -> str:
        return new_id(self.world.clock.time())

    async def restart(self) -> None:
        await self.agent.stop()
        await self.start()

    async def start(self) -> None:
        await self.agent.start(self.environment)
        await self.agent.notices.wait("READY=1")
        await self.present()

    async def present(self) -> None:
        """Until the agent answers."""
        async with asyncio.timeout(20):
            while True:
                ident = self.new_id()
                await self.helm.say(payload(request("help", ident), more=f"id='{ident}'"))
                if (await self.helm.answered(ident)).get("type") != "error":
                    return

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": os.pathsep.join(filter(None, (str(self.folder), os.environ.get("PYTHONPATH"))))}

    @property
    def folder(self) -> Path:
        return self.agent.folder / "modules"


# --- stanzas


def chat(text: str, *inner: str, to: str = FULL, kind: str = "chat", more: str = "") -> str:
    """A typed line; `more`: attributes."""
    return f"<message to='{to}' type='{kind}' {more}><body>{escape(text)}</body>{''.join(inner)}</message>"


def payload(text: str, *inner: str, to: str = FULL, kind: str = "normal", more: str = "") -> str:
    """A container, or whatever stands in its place."""
    inside = f"<amon xmlns='urn:amon:1'>{escape(text)}</amon>{''.join(inner)}"
    return f"<message to='{to}' type='{kind}' {more}>{inside}</message>"


def room_chat(text: str, *inner: str) -> str:
    return chat(text, *inner, to=OPS, kind="groupchat")


def room_payload(text: str, *inner: str) -> str:
    return payload(text, *inner, to=OPS, kind="groupchat")


def request(line: str, ident: str, *sites: str) -> str:
    return encode(Request(ident, sites or ("cern",), line, 30.0))


# --- the scene


@asynccontextmanager
async def besieged(
    world: World, *, account: str = "", wants: str = "signed = []\nconfirm = []"
) -> AsyncIterator[Siege]:
    """account, wants: lines for the account's configuration, and for its policy what it wants of an order.

    As it is alice is obeyed by a bare typed line: each attempt lacks nothing but what defends against it.
    """
    await world.server.add_account(EVE, PASSWORD)
    await world.add_site("desy")  # never started: its account is the thief's
    effects = world.folder / "effects"
    instance = f'[instance.mark]\n[instance.mark.settings]\nfile = "{effects}"\n'
    agent = await world.add_site("cern", instance)
    siege = Siege(world, agent, effects)
    agent.config.write_text(world.configuration("cern", instance, account=account, policy=f"{_WHO}\n{wants}"))
    install(siege.folder)
    async with AsyncExitStack() as sessions:
        siege.helm = await sessions.enter_async_context(session(world, ALICE, "helm"))
        siege.alice = await sessions.enter_async_context(session(world, ALICE))
        siege.eve = await sessions.enter_async_context(session(world, EVE))
        siege.thief = await sessions.enter_async_context(session(world, THIEF))
        await siege.start()
        yield siege
        siege.tell()


def session(world: World, jid: str, resource: str = "home") -> AbstractAsyncContextManager[Attacker]:
    login = Login(jid, PASSWORD, resource=resource, host=world.server.host, port=world.server.c2s_port)
    return attacking(login, world.server.ca_file)
