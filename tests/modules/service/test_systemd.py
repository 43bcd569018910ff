"""Driver `systemd` against a real `systemd --user` in namespaces of its own; see user_systemd.sh for how and why so."""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from amon.clock import SystemClock
from amon.health import Level
from amon.testing import Stage, stage
from amon.words import State
from modules.service import Check, Restart, Service, ServiceModule, Settings
from modules.service.judge import needs_restart
from modules.service.systemctl import Programs

pytestmark = pytest.mark.lab

NEEDED = ("unshare", "nsenter", "dbus-daemon", "systemctl", "journalctl")
UNITS = {
    "good": "ExecStart=/bin/sleep 700",
    "bad": "ExecStart=/bin/sh -c 'echo connecting; echo no licence; exit 3'",
    "slow": "Type=notify\nExecStart=/bin/sleep 701\nTimeoutStartSec=1",
    "deaf": "ExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'\nTimeoutStopSec=1",
    "hasty": "ExecStart=/bin/sh -c 'test -e %h/found || exit 4; exec sleep 703'\n[Unit]\nStartLimitBurst=2",
    # It speaks by itself: of a child that is gone journald may not know any more of which unit of a user it was.
    "chatty": "ExecStart=/bin/sh -c 'n=0; while :; do printf \"said-%%05d\\\\n\" $n; n=$(($n+1)); sleep 0.1; done'",
    "again": "ExecStart=/bin/sleep 702\nRestart=always\nRestartSec=100ms",
}


@dataclass(frozen=True)
class Manager:
    """A user's systemd: where its bus is, and how its programs are called from outside."""

    shared: Path
    bus: str
    programs: Programs
    inside: tuple[str, ...]

    def systemctl(self, *words: str) -> str:
        argv = (*self.inside, "systemctl", "--user", *words)
        return subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False).stdout.strip()

    def pid(self, unit: str) -> int:
        return int(self.systemctl("show", "--property=MainPID", "--value", unit))


def _cgroup() -> Path:
    """A new cgroup in the hierarchy that systemd would take."""
    root = Path("/sys/fs/cgroup/systemd")
    root = root if root.is_dir() else Path("/sys/fs/cgroup")
    made = root / f"amon-test-{os.getpid()}"
    made.mkdir()
    return made


def _remove(cgroup: Path) -> None:
    end = time.monotonic() + 10
    for path in sorted((cgroup, *(p for p in cgroup.rglob("*") if p.is_dir())), key=lambda p: -len(p.parts)):
        while path.exists():
            try:
                path.rmdir()
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)  # its processes are being killed


def _child(pid: int) -> int:
    """The process 1 of the namespace."""
    while not (children := psutil.Process(pid).children()):
        time.sleep(0.02)
    return children[0].pid


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"needs root and {', '.join(missing) or 'nothing else'}")
    shared = tmp_path_factory.mktemp("systemd")
    (shared / "units").mkdir()
    (shared / "units/dbus.socket").write_text("[Socket]\nListenStream=%t/bus\n")
    daemon = shutil.which("dbus-daemon")
    (shared / "units/dbus.service").write_text(
        f"[Service]\nExecStart={daemon} --session --address=systemd: --nofork --nopidfile --systemd-activation\n"
    )
    for name, lines in UNITS.items():
        (shared / f"units/{name}.service").write_text(f"[Service]\n{lines}\n")
    # The journal of the namespace takes the units for the system's own.
    wrapper = shared / "journalctl"
    wrapper.write_text(
        "#!/bin/sh\n"
        'for word do shift; set -- "$@" "$(echo "$word" | sed s/^--user-unit/--unit/)"; done\n'
        'exec journalctl "$@"\n'
    )
    wrapper.chmod(0o755)
    cgroup = _cgroup()
    script = Path(__file__).with_name("user_systemd.sh")
    log = (shared / "log").open("w")
    outer = subprocess.Popen([str(script), str(shared), str(cgroup)], stdout=log, stderr=log)
    try:
        bus = f"unix:path={shared}/run/bus"
        inside = ("nsenter", f"--target={_child(outer.pid)}", "--mount", "--pid", "--cgroup", "env",
                  f"XDG_RUNTIME_DIR={shared}/run", f"DBUS_SESSION_BUS_ADDRESS={bus}")  # fmt: skip
        found = Manager(shared, bus, Programs((*inside, "systemctl"), (*inside, str(wrapper))), inside)
        end = time.monotonic() + 20
        while found.systemctl("is-system-running") not in ("running", "degraded"):
            assert time.monotonic() < end, (shared / "log").read_text()
            time.sleep(0.1)
        found.systemctl("start", "dbus.service")
        yield found
    finally:
        outer.send_signal(signal.SIGKILL)
        outer.wait()
        log.close()
        _remove(cgroup)


@pytest.fixture(params=["over D-Bus", "through systemctl"])
def units(request: pytest.FixtureRequest, manager: Manager, tmp_path: Path) -> Any:
    """`async with units(web=Service(...)) as site:`; both ways to systemd give the same."""
    bus = manager.bus if request.param == "over D-Bus" else "unix:path=/nowhere/bus"
    if request.param == "over D-Bus":
        pytest.importorskip("dbus_fast")

    @asynccontextmanager
    async def opened(**named: Service) -> Any:
        settings = Settings(named, manager="user", bus=bus)
        programs = manager.programs
        state = tmp_path / "state"
        try:
            async with stage(ServiceModule, settings, clock=SystemClock(), state=state, programs=programs) as site:
                assert site.module._units.connected is (request.param == "over D-Bus")
                yield site
        finally:
            manager.systemctl("stop", *(f"{name}.service" for name in UNITS))
            manager.systemctl("reset-failed")

    return opened


def unit(name: str, **more: Any) -> Service:
    return Service(**{"driver": "systemd", "unit": f"{name}.service", "settle": 0.2, "poll": 1, **more})


def part(site: Stage) -> tuple[str, str]:
    health = site.health.parts["web"]
    return health.state, health.text


def test_it_is_a_real_systemd_of_its_own(manager: Manager) -> None:
    assert manager.systemctl("show", "--property=Version", "--value").isprintable()
    assert manager.systemctl("list-units", "--no-legend", "good.service") == ""
    assert (manager.shared / "run/bus").is_socket()


async def test_a_unit_is_started_restarted_and_stopped(units: Any, manager: Manager) -> None:
    async with units(web=unit("good")) as site:
        assert part(site) == ("down", "down")
        assert (await site.ask("service start web")).state == State.done
        (row,) = (await site.ask("service status web")).data
        assert row["state"] == "up"
        assert row["pids"] == [manager.pid("good.service")]
        assert row["age"] < 10
        way = "over D-Bus" if site.module._units.connected else "through systemctl"
        plan = await site.ask("service restart web", dry_run=True)
        assert plan.data["would"] == ["systemd RestartUnit good.service " + way]
        assert (await site.ask("service restart web")).state == State.done
        assert site.module._keepers["web"].seen.pids not in ((), tuple(row["pids"]))
        assert (await site.ask("service stop web")).state == State.done
        assert part(site) == ("down", "stopped by owner@example.org")


async def test_a_failed_start_brings_the_unit_s_log(units: Any) -> None:
    async with units(web=unit("bad")) as site:
        ended = await site.ask("service start web")
        assert ended.state == State.failed
        lines = ended.text.splitlines()
        assert lines[0] == "web did not start: exit status 3"
        assert lines[1] == "last lines of its log:"
        assert "  no licence" in lines
        assert part(site) == ("failed", "failed: exit status 3")
        assert site.health.level is Level.critical


async def test_a_start_that_times_out_fails_with_systemd_s_word(units: Any) -> None:
    async with units(web=unit("slow")) as site:
        ended = await site.ask("service start web")
        assert ended.text.splitlines()[0].startswith("web did not start: the job failed")
        assert part(site) == ("failed", "failed: timeout")


async def test_one_that_ignores_sigterm_is_systemd_s_to_kill(units: Any, manager: Manager) -> None:
    async with units(web=unit("deaf")) as site:
        assert (await site.ask("service start web")).state == State.done
        assert (await site.ask("service stop web")).state == State.done
        assert manager.pid("deaf.service") == 0


async def test_an_end_is_noticed_and_mended(units: Any, manager: Manager) -> None:
    async with units(web=unit("good", restart=Restart(automatic=True, wait=0.1))) as site:
        await site.say("service start web")
        first = manager.pid("good.service")
        manager.systemctl("kill", "--signal=KILL", "good.service")
        keeper = site.module._keepers["web"]
        await site.wait_health(lambda _: bool(keeper.restarts()) and part(site)[0] == "up")
        assert manager.pid("good.service") not in (0, first)


async def test_what_was_stopped_at_the_host_is_not_started_against_its_will(units: Any, manager: Manager) -> None:
    async with units(web=unit("good", restart=Restart(automatic=True, wait=0.1))) as site:
        await site.say("service start web")
        manager.systemctl("stop", "good.service")
        await site.wait_health(lambda _: part(site)[0] == "down")
        assert site.health.level is Level.critical
        keeper = site.module._keepers["web"]
        assert not needs_restart(keeper.service, keeper.facts())


async def test_systemd_s_own_restarts_are_counted_too(units: Any, manager: Manager) -> None:
    async with units(web=unit("again")) as site:
        await site.say("service start web")
        manager.systemctl("kill", "--signal=KILL", "again.service")
        keeper = site.module._keepers["web"]
        while keeper.restarts() == 0 or part(site)[0] != "up":
            await site.clock.sleep(0.05)
            await keeper.look()
        assert keeper.restarts() == 1


async def test_a_person_may_start_what_systemd_has_given_up(units: Any, manager: Manager) -> None:
    fault = manager.shared / "home/found"
    async with units(web=unit("hasty")) as site:
        manager.systemctl("start", "hasty.service")
        for _ in range(3):  # more often than its unit allows within ten seconds
            assert "did not start: exit status 4" in (await site.ask("service start web")).text
        fault.touch()
        assert (await site.ask("service start web")).state == State.done
    fault.unlink()


async def test_active_is_not_healthy(units: Any) -> None:
    async with units(web=unit("good", check=Check(tcp="127.0.0.1:1", every=0.5), start_timeout=0.5)) as site:
        ended = await site.ask("service start web")
        assert "up for 0.5 s, but tcp 127.0.0.1:1: connection refused" in ended.text
        assert part(site)[0] == "unhealthy"


async def test_a_unit_that_does_not_exist_is_unknown(units: Any) -> None:
    async with units(web=unit("nowhere")) as site:
        assert part(site) == ("unknown", "unknown: there is no unit nowhere.service")
        ended = await site.ask("service start web")
        assert ended.state == State.failed
        assert "nowhere.service not found" in ended.text


async def test_a_change_is_heard_at_once_over_d_bus(manager: Manager, tmp_path: Path) -> None:
    pytest.importorskip("dbus_fast")
    settings = Settings({"web": unit("good", poll=600)}, manager="user", bus=manager.bus)
    async with stage(ServiceModule, settings, clock=SystemClock(), state=tmp_path, programs=manager.programs) as site:
        manager.systemctl("start", "good.service")
        await site.wait_health(lambda _: part(site)[0] == "up")
        manager.systemctl("kill", "--signal=KILL", "good.service")
        await site.wait_health(lambda _: part(site)[0] == "failed")
        assert part(site) == ("failed", "failed: killed by SIGKILL")
        manager.systemctl("reset-failed")


async def test_a_systemd_that_starts_anew_is_found_again(manager: Manager, tmp_path: Path, until: Any) -> None:
    pytest.importorskip("dbus_fast")
    settings = Settings({"web": unit("good", poll=600)}, manager="user", bus=manager.bus)
    async with stage(ServiceModule, settings, clock=SystemClock(), state=tmp_path, programs=manager.programs) as site:
        manager.systemctl("start", "good.service")
        await site.wait_health(lambda _: part(site)[0] == "up")
        first = site.module._units._bus
        manager.systemctl("daemon-reexec")
        await until(lambda: site.module._units._bus not in (None, first))
        manager.systemctl("stop", "good.service")
        await site.wait_health(lambda _: part(site)[0] == "down")


async def test_the_log_of_a_unit_is_followed_as_journald_gets_it(units: Any, manager: Manager) -> None:
    async with units(web=unit("chatty")) as site, asyncio.timeout(30):
        await site.ask("service start web")
        async with aclosing(site.follow("service follow web lines=3")) as lines:
            told = [await anext(lines) for _ in range(8)]
        said = [line for line in told if " said-" in line]
        assert len(said) >= 5
        assert said == sorted(said)
        assert len(set(said)) == len(said)
        assert all(line[:9].endswith("Z") for line in told)
        while any("--follow" in one.cmdline() for one in psutil.Process().children(True)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # the end of a child takes a moment
