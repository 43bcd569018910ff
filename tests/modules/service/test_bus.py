"""What goes wrong between us and systemd: a peer on a private bus that refuses, falls silent, or goes away."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from amon.testing import FakeClock, Stage, stage
from amon.words import State
from modules.service import Service, ServiceModule, Settings
from modules.service.systemctl import Programs

dbus_fast = pytest.importorskip("dbus_fast")
from dbus_fast import Message, MessageType, Variant  # noqa: E402
from dbus_fast.aio import MessageBus  # noqa: E402

pytestmark = pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="needs dbus-daemon")

SYSTEMD = "org.freedesktop.systemd1"
MANAGER = SYSTEMD + ".Manager"
UNIT_PATH = "/org/freedesktop/systemd1/unit/web_2eservice"
ERROR = "org.freedesktop.DBus.Error."
Answer = Callable[["Peer", Message], Message | None]


class Peer:
    """Plays systemd with one unit; `answers` replaces what it says to a member."""

    def __init__(self, bus: MessageBus, answers: dict[str, Answer]) -> None:
        self.bus = bus
        self.answers = answers
        self.asked: list[str] = []
        self.properties: dict[str, Any] = {"LoadState": "loaded", "ActiveState": "active", "MainPID": 7}
        bus.add_message_handler(self.heard)

    def heard(self, message: Message) -> Message | bool:
        if message.message_type is not MessageType.METHOD_CALL or (message.path or "").count("/") < 3:
            return False
        member = message.member or ""
        self.asked.append(member)
        if member in self.answers:
            return self.answers[member](self, message) or True
        return self.usual(message)

    def usual(self, message: Message) -> Message:
        if message.member == "LoadUnit":
            return Message.new_method_return(message, "o", [UNIT_PATH])
        if message.member == "GetAll":
            kinds = {str: "s", int: "u"}
            shown = {key: Variant(kinds[type(value)], value) for key, value in self.properties.items()}
            return Message.new_method_return(message, "a{sv}", [shown])
        if (message.member or "").endswith("Unit"):
            # The end of the job is told before its name: the order that is easily got wrong.
            self.ended("/job/1", "done")
            return Message.new_method_return(message, "o", ["/job/1"])
        return Message.new_method_return(message)

    def ended(self, job: str, result: str) -> None:
        body = [1, job, "web.service", result]
        signal = Message.new_signal("/org/freedesktop/systemd1", MANAGER, "JobRemoved", "uoss", body)
        self.bus.send(signal)

    def changed(self, **properties: Any) -> None:
        self.properties.update(properties)
        body = [SYSTEMD + ".Unit", {}, []]
        signal = Message.new_signal(UNIT_PATH, "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as", body)
        self.bus.send(signal)


def error(name: str, text: str) -> Answer:
    return lambda _, message: Message.new_error(message, name, text)


def silent(peer: Peer, message: Message) -> None:
    return None


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    """A bus of the test's own."""
    address = f"unix:path={tmp_path}/bus"
    daemon = await asyncio.create_subprocess_exec(
        "dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1", f"--address={address}",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert daemon.stdout is not None
    await daemon.stdout.readline()
    try:
        yield address
    finally:
        daemon.kill()
        await daemon.wait()


@asynccontextmanager
async def systemd(address: str, **answers: Answer) -> AsyncIterator[Peer]:
    bus = await MessageBus(bus_address=address).connect()
    await bus.request_name(SYSTEMD)
    try:
        yield Peer(bus, answers)
    finally:
        if bus.connected:
            bus.disconnect()
        await asyncio.sleep(0)


@asynccontextmanager
async def site_on(address: str, tmp_path: Path, clock: FakeClock, **more: Any) -> AsyncIterator[Stage]:
    unit = Service(**{"driver": "systemd", "unit": "web.service", "settle": 0, "start_timeout": 0.5, **more})
    settings = Settings({"web": unit}, manager="user", bus=address)
    # No program but D-Bus: whatever works here works over it.
    programs = Programs(("/nowhere/systemctl",), ("/nowhere/journalctl",))
    async with stage(ServiceModule, settings, clock=clock, state=tmp_path / "state", programs=programs) as site:
        yield site


def part(site: Stage) -> tuple[str, str]:
    health = site.health.parts["web"]
    return health.state, health.text


async def test_an_end_of_the_job_that_comes_before_its_name_is_heard(
    address: str, tmp_path: Path, clock: FakeClock
) -> None:
    async with systemd(address) as peer, site_on(address, tmp_path, clock) as site:
        assert part(site) == ("up", "")
        assert (await site.ask("service restart web")).state == State.done
        assert "RestartUnit" in peer.asked


@pytest.mark.parametrize(
    "name",
    [
        ERROR + "AccessDenied",
        ERROR + "InteractiveAuthorizationRequired",
        "org.freedesktop.PolicyKit1.Error.NotAuthorized",
    ],
)
async def test_a_refusal_of_polkit_says_which_rule_is_needed(
    address: str, tmp_path: Path, clock: FakeClock, name: str
) -> None:
    refuses = error(name, "Interactive authentication required.")
    async with systemd(address, RestartUnit=refuses), site_on(address, tmp_path, clock) as site:
        ended = await site.ask("service restart web")
        assert ended.state == State.failed
        assert "systemd does not allow it: Interactive authentication required." in ended.text
        assert "put what `amon-agent polkit web.service` prints into /etc/polkit-1/rules.d" in ended.text


@pytest.mark.parametrize(
    ("result", "why"),
    [
        ("failed", "the job failed"),
        ("dependency", "a unit it needs failed"),
        ("canceled", "overtaken by another order"),
        ("timeout", "the job ended with timeout"),
    ],
)
async def test_a_job_that_fails_says_how(address: str, tmp_path: Path, clock: FakeClock, result: str, why: str) -> None:
    def fails(peer: Peer, message: Message) -> Message:
        peer.ended("/job/2", result)
        return Message.new_method_return(message, "o", ["/job/2"])

    async with systemd(address, StartUnit=fails), site_on(address, tmp_path, clock) as site:
        assert (await site.ask("service start web")).text.startswith(f"web did not start: {why}")


async def test_a_job_that_does_not_end_is_told_and_left_to_systemd(
    address: str, tmp_path: Path, clock: FakeClock
) -> None:
    def begins(peer: Peer, message: Message) -> Message:
        peer.ended("/job/of/somebody/else", "done")
        return Message.new_method_return(message, "o", ["/job/3"])

    async with systemd(address, StartUnit=begins), site_on(address, tmp_path, clock) as site:
        ended = await site.ask("service start web")
        assert "systemd has not done it after 0.5 s and goes on trying" in ended.text


async def test_an_end_of_a_job_that_somebody_else_tells_is_not_believed(
    address: str, tmp_path: Path, clock: FakeClock
) -> None:
    stranger = await MessageBus(bus_address=address).connect()

    def begins(peer: Peer, message: Message) -> Message:
        body = [1, "/job/4", "web.service", "done"]
        lie = Message.new_signal("/org/freedesktop/systemd1", MANAGER, "JobRemoved", "uoss", body)
        lie.destination = message.sender
        stranger.send(lie)
        return Message.new_method_return(message, "o", ["/job/4"])

    async with systemd(address, StartUnit=begins), site_on(address, tmp_path, clock) as site:
        ended = await site.ask("service start web")
        assert "systemd has not done it after 0.5 s" in ended.text
    stranger.disconnect()


async def test_a_bus_that_goes_away_during_a_restart_is_told_and_not_repeated(
    address: str, tmp_path: Path, clock: FakeClock
) -> None:
    def dies(peer: Peer, message: Message) -> None:
        peer.bus.disconnect()

    async with systemd(address, RestartUnit=dies) as peer, site_on(address, tmp_path, clock) as site:
        ended = await site.ask("service restart web")
        assert "the connection to systemd broke meanwhile; look at its status" in ended.text
        assert peer.asked.count("RestartUnit") == 1


async def test_without_bus_and_systemctl_the_state_is_unknown_until_systemd_is_back(
    address: str, tmp_path: Path, clock: FakeClock
) -> None:
    async with site_on(address, tmp_path, clock) as site:
        assert part(site) == ("unknown", "unknown: systemd: cannot run /nowhere/systemctl: no such program")
        async with systemd(address):
            while part(site)[0] != "up":
                clock.advance(60)
                await asyncio.sleep(0.02)
        await site.wait_health(lambda _: part(site)[0] == "unknown")


async def test_a_change_is_heard(address: str, tmp_path: Path, clock: FakeClock) -> None:
    async with systemd(address) as peer, site_on(address, tmp_path, clock) as site:
        peer.changed(ActiveState="failed", Result="oom-kill", MainPID=0)
        await site.wait_health(lambda _: part(site) == ("failed", "failed: oom-kill"))
        peer.changed(ActiveState="activating", SubState="auto-restart")
        await site.wait_health(lambda _: part(site) == ("starting", "starting: systemd restarts it"))


@pytest.mark.parametrize(
    ("load", "text"),
    [
        ("not-found", "unknown: there is no unit web.service"),
        ("masked", "unknown: web.service is masked; systemctl unmask it"),
        ("bad-setting", "unknown: web.service cannot be loaded; see systemctl status web.service"),
    ],
)
async def test_a_unit_that_is_not_loaded_is_unknown_and_says_why(
    address: str, tmp_path: Path, clock: FakeClock, load: str, text: str
) -> None:
    async with systemd(address) as peer, site_on(address, tmp_path, clock) as site:
        peer.changed(LoadState=load)
        await site.wait_health(lambda _: part(site) == ("unknown", text))
