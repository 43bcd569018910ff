"""What the demo shows: the fleet, a broadcast, a broken service mended, and how to join it with a Jabber client.

Everything is done by the functions behind `amon sites` and `amon run`.
"""

import asyncio
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from admin_console.broadcast import Interrupts, broadcast
from admin_console.demo.sites import BROKEN_SERVICE, BROKEN_SITE, PLANS
from admin_console.demo.stage import Stage, staged
from admin_console.fleet import sites_of
from admin_console.plain import PlainFace
from admin_console.program import called
from admin_console.session import Session, in_fleet
from admin_console.stopping import on_stop
from admin_console.wish import Wish
from amon.errors import Failed
from amon.target import parse

_EXPECTED = {plan.name: [f"service/{BROKEN_SERVICE}"] if plan.name == BROKEN_SITE else [] for plan in PLANS}


@dataclass(slots=True)
class Show:
    """Who looks on, when it began, and what a stop means now."""

    face: PlainFace
    began: float
    stop: Callable[[], object]

    def passed(self) -> str:
        return f"{time.monotonic() - self.began:.1f} s"


async def run_demo(*, once: bool, svg: Path | None, face: PlainFace | None = None) -> None:
    """The whole demo. It stays up until Ctrl-C only where a person sits."""
    task = asyncio.current_task()
    assert task is not None
    recording = face is None and svg is not None
    show = Show(face or _face(recording), time.monotonic(), task.cancel)
    with on_stop(lambda: show.stop()):
        show.face.note("starting a private XMPP server and three agents; nothing of it stays behind")
        async with staged() as stage, in_fleet(stage.console) as session:
            await play(stage, session, show)
            if svg is not None:
                _draw(show.face, svg)
            if not once and sys.stdin.isatty() and sys.stdout.isatty():
                await _stay(stage, show)
        show.face.note("the server, the agents and their services are gone again")


async def play(stage: Stage, session: Session, show: Show) -> None:
    """The show itself; `Failed` if anything is not as it is told."""
    face = show.face
    await stage.wait(session, "all agents here, one service broken", lambda: _troubles(session) == _EXPECTED)
    await _sites(session, face)
    await _run(session, face, "all", "status")
    face.note(f"first broadcast collected {show.passed()} after the start")
    broken = f"service:{BROKEN_SERVICE}=failed"
    await _run(session, face, broken, f"service restart {BROKEN_SERVICE}")
    # What presence says now nobody asked for: the site tells it by itself.
    await stage.wait(session, f"{BROKEN_SITE} well again", lambda: not any(_troubles(session).values()))
    await _sites(session, face)


async def _sites(session: Session, face: PlainFace) -> None:
    face.prompt("amon sites")
    await sites_of(session, face, parse("all"))


async def _run(session: Session, face: PlainFace, target: str, line: str) -> None:
    face.prompt(f"amon run {shlex.quote(target)} {line}")
    report = await broadcast(session, face, Wish(parse(target), line), Interrupts())
    face.line(f"exit code {int(report.exit)}")
    if report.exit:
        raise Failed(f"`amon run {target} {line}` ended with exit code {int(report.exit)}: {report.book.summary()}")


def _troubles(session: Session) -> dict[str, list[str]]:
    """What presence names as not well, of every site that is there."""
    sites = [site for site in session.sites() if site.online and site.health is not None]
    return {site.name: [name for name, _, _ in site.health.bad] for site in sites if site.health is not None}


async def _stay(stage: Stage, show: Show) -> None:
    """Until somebody has seen enough."""
    stop = asyncio.Event()
    show.stop = stop.set
    place, server = stage.place, stage.server
    password = place.password_file(place.admin).read_text().strip()
    amon = f"{called()} --config {place.config}"
    known = {
        "JID": place.admin,
        "password": password,
        "server": f"{place.reached_at} port {server.c2s_port} (STARTTLS) or {server.tls_port} (direct TLS)",
        "CA file": str(server.ca_file),
        "room": f"{place.room}, where `!status` asks everybody and `cern: help` one",
        "a chat": f"write `service list` to cern@{place.agents}",
        "console": f"{amon} sites",
        "": f"{amon} run all service list",
    }
    show.face.line("\nIt stays up until Ctrl-C. Join it with any Jabber client, or from another terminal:\n")
    for name, value in known.items():
        show.face.line(f"  {name + ':' if name else '':<10} {value}")
    await stop.wait()


def _face(recording: bool) -> PlainFace:
    if not recording and not sys.stdout.isatty():
        return PlainFace()
    from admin_console.live import LiveFace
    from admin_console.picture import recorder

    return LiveFace(console=recorder(sys.stdout), moving=False) if recording else LiveFace()


def _draw(face: PlainFace, path: Path) -> None:
    from admin_console.live import LiveFace
    from admin_console.picture import write_picture

    assert isinstance(face, LiveFace)
    write_picture(face.console, path)
