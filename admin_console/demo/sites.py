"""The three sites of the demo: what each looks after, and the configuration of its agent."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from admin_console.own_server import Place

MARK = "AMON_DEMO"  # in the environment of every process of a demo, so that none of them is forgotten
BROKEN_SITE, BROKEN_SERVICE = "desy", "store"
HOST = "127.0.0.1"  # where its services listen
_CHECKS = {"http": 'http = "http://127.0.0.1:{port}/"', "tcp": 'tcp = "127.0.0.1:{port}"'}


@dataclass(frozen=True, slots=True)
class Plan:
    """A site: its services, each with how it is checked."""

    name: str
    tier: str
    services: tuple[tuple[str, str], ...]


PLANS = (
    Plan("cern", "0", (("web", "http"),)),
    Plan("desy", "1", (("store", "tcp"), ("web", "http"))),
    Plan("fnal", "1", (("transfer", "tcp"),)),
)

_AGENT = """\
state = "{state}"
tags = {{ tier = "{tier}" }}

[account.main]
jid = "{jid}"
password_file = "{password}"
rooms = ["{room}"]
host = "{host}"
port = {port}
ca_file = "{ca_file}"

[account.main.policy]
admin = ["{admin}"]

[instance.uptime.settings]
settle = 0  # a machine that was just booted is no trouble here

"""
_SERVICE = """\
[instance.service.settings.services.{name}]
driver = "process"
argv = [{argv}]
environment = {{ {mark} = "{token}" }}
check = {{ {check}, every = "2 s" }}
start_timeout = "10 s"

"""


def agent_configuration(
    plan: Plan, place: Place, port: int, password: Path, folder: Path, token: str, choose: Callable[[], int]
) -> str:
    """The whole agent.toml of this site, whose files lie in `folder`; `choose` gives each service its port."""
    head = _AGENT.format(
        state=folder / "state",
        tier=plan.tier,
        jid=f"{plan.name}@{place.agents}",
        password=password,
        room=place.room,
        host=place.reached_at,
        port=port,
        ca_file=place.ca_file,
        admin=place.admin,
    )
    return head + "".join(_service(plan.name, name, check, folder, token, choose()) for name, check in plan.services)


def _service(site: str, name: str, check: str, folder: Path, token: str, port: int) -> str:
    argv = [sys.executable, "-P", str(Path(__file__).with_name("service.py")), name, str(port)]
    argv += ["--until", str(os.getpid())]
    if (site, name) == (BROKEN_SITE, BROKEN_SERVICE):
        argv += ["--breaks-once", str(folder / "lock")]
    quoted = ", ".join(f'"{word}"' for word in argv)
    return _SERVICE.format(name=name, argv=quoted, mark=MARK, token=token, check=_CHECKS[check].format(port=port))
