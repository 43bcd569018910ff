"""A site whose answers are as long as one likes: an agent in this process with one module."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from amon.access import Policy
from amon.command import Call, command
from amon.fields import Field
from amon.module import Module
from amon.runtime.node import Spec
from amon.xmpp.login import Login
from site_agent.configuration import AccountPlan, Configuration
from site_agent.plans import RESOURCE
from site_agent.policies import Law
from site_agent.settings import AgentSettings

LINE = "Nov 20 12:00:{:02} host httpd[{}]: GET /index-{}.html HTTP/1.1 200 {} bytes in 0.0{} s\n"


@lru_cache(maxsize=4)
def log(size: int) -> str:
    """So many characters, whole lines."""
    lines, length, number = list[str](), 0, 0
    while length < size:
        number += 1
        line = LINE.format(number % 60, number, number * 7919 % 10_007, number * 104_729 % 99_991, number % 97)
        lines.append(line)
        length += len(line)
    return "".join(lines)


@dataclass(frozen=True, slots=True)
class Up:
    state: Annotated[str, Field("one word")] = "up"


class Lengthy(Module[None]):
    @command(timeout=120.0)
    async def log(self, call: Call, size: Annotated[int, Field("characters", least=1, most=10**9)]) -> str:
        """Say so much."""
        return log(size)

    @command()
    async def up(self, call: Call) -> Up:
        """Say that it is up."""
        return Up()


def lengthy(
    jid: str, password: str, host: str, port: int, ca: Path, room: str, admin: str, state: Path
) -> Configuration:
    """For a site with this module alone; `admin` may ask it."""
    login = Login(jid, password, RESOURCE, host, port, rooms=(room,) if room else (), nick=jid.partition("@")[0])
    plan = AccountPlan("vo", login, ca, Law(Policy(admin=(admin,), rate=0)), None, "!")
    return Configuration(AgentSettings(state=state), (Spec("lengthy", "lengthy", Lengthy),), (plan,))
