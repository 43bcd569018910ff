"""The host module on a stage, with a world made of literals."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from amon.health import Level
from amon.testing import FakeClock, Stage, stage
from modules.host import HostModule, Machine, Settings
from modules.host.results import Moment
from modules.host.settings import Disk
from modules.host.world import Heat, Link, Mount, Task, Traffic
from tests.modules.host.worlds import FakeWorld, full

QUICK = Settings(every=30, answer_within=2)
HURRIED = replace(QUICK, answer_within=0.2)
SLEEPERS = 2  # the node's housekeeping and the module between two looks; a call adds its deadline and what it does
NFS = Mount("nas:/data", "/data", "nfs4")


async def look_again(site: Stage, clock: FakeClock) -> None:
    """Let half a minute pass and the look at its end be finished."""
    async with asyncio.timeout(5):
        await clock.wait_sleepers(SLEEPERS)
        clock.advance(30)
        await clock.wait_sleepers(SLEEPERS)


def states(site: Stage) -> dict[str, tuple[Level, str]]:
    return {name: (part.level, part.state) for name, part in site.health.parts.items()}


# Health


async def test_a_host_that_is_well_has_all_its_parts_up() -> None:
    world = FakeWorld(swap_used=3, sensors=[Heat("cpu", 40)])
    async with stage(HostModule, QUICK, world=world) as site:
        assert site.presence.status == "OK 5/5"
        assert list(site.health.parts) == ["load", "memory", "swap", "temperature", "disk-root"]


@pytest.mark.parametrize(
    ("world", "status"),
    [
        (FakeWorld(load_5=4), "WARN 1/3 load 2.0 per core since 13:46Z"),
        (FakeWorld(memory_used=98), "CRIT 1/3 memory 98 % used since 13:46Z"),
        (FakeWorld(swap_used=85), "WARN 1/4 swap 85 % used since 13:46Z"),
        (FakeWorld(spaces={"/": full(95)}), "CRIT 1/3 disk-root 95 % full since 13:46Z"),
        (FakeWorld(spaces={"/": full(10, inodes=90)}), "WARN 1/3 disk-root 90 % of inodes used since 13:46Z"),
        (FakeWorld(sensors=[Heat("a", 50), Heat("b 1", 96)]), "CRIT 1/4 temperature 96 °C (b 1) since 13:46Z"),
    ],
)  # fmt: skip
async def test_what_is_over_its_limit_is_named(world: FakeWorld, status: str) -> None:
    async with stage(HostModule, QUICK, world=world) as site:
        assert site.presence.status == status


async def test_only_what_is_watched_makes_health() -> None:
    world = FakeWorld(load_5=99, memory_used=99, spaces={"/": full(99)})
    async with stage(HostModule, replace(QUICK, watch=("memory",)), world=world) as site:
        assert site.presence.status.startswith("CRIT 1/1 memory")


async def test_a_mount_may_have_limits_of_its_own() -> None:
    world = FakeWorld(mounted=[Mount("/dev/sda1", "/", "ext4"), NFS], spaces={"/": full(90), "/data": full(90)})
    settings = replace(QUICK, mounts={"/data": Disk(warn=95, crit=99)})
    async with stage(HostModule, settings, world=world) as site:
        assert states(site)["disk-root"] == (Level.warning, "full")
        assert states(site)["disk-data"] == (Level.ok, "up")


async def test_what_is_read_only_or_of_no_size_is_never_too_full() -> None:
    mounted = [Mount("/dev/sr0", "/cd", "ext4", read_only=True), Mount("x", "/odd", "fuse.x")]
    world = FakeWorld(mounted=mounted, spaces={"/cd": full(100), "/odd": replace(full(0), size=0)})
    async with stage(HostModule, QUICK, world=world) as site:
        assert set(states(site)) == {"load", "memory"}
        assert [row["mount"] for row in (await site.ask("host disks")).data] == ["/cd"]


async def test_a_sensor_that_is_broken_is_not_believed() -> None:
    world = FakeWorld(sensors=[Heat("broken", 255), Heat("cold", -273), Heat("good", 41)])
    async with stage(HostModule, QUICK, world=world) as site:
        assert site.health.parts["temperature"].text == "41 °C (good)"


async def test_it_looks_again_by_itself_and_tells_when_something_changed() -> None:
    clock, world = FakeClock(), FakeWorld()
    async with stage(HostModule, QUICK, clock=clock, world=world) as site:
        told: list[str] = []
        site.node.listen(lambda: told.append(site.presence.show))
        await look_again(site, clock)
        assert told == []
        world.spaces["/"] = full(97)
        await look_again(site, clock)
        world.spaces["/"] = full(98)
        await look_again(site, clock)
        assert told == ["dnd"]
        assert "98 %" in site.presence.status
        world.spaces["/"] = full(50)
        await look_again(site, clock)
        assert told == ["dnd", "available"]


async def test_a_value_about_its_limit_is_told_once() -> None:
    clock, world = FakeClock(), FakeWorld()
    async with stage(HostModule, QUICK, clock=clock, world=world) as site:
        told: list[str] = []
        site.node.listen(lambda: told.append(site.presence.show))
        for percent in (84.9, 85, 84.9, 85.1, 83, 85.5, 82):
            world.spaces["/"] = full(percent)
            await look_again(site, clock)
        assert told == ["away"]


# A mount that does not answer


async def test_a_dead_mount_is_unknown_and_holds_up_nothing() -> None:
    clock = FakeClock()
    world = FakeWorld(mounted=[Mount("/dev/sda1", "/", "ext4"), NFS], dead={"/data"})
    world.spaces["/data"] = full(10)
    try:
        async with stage(HostModule, HURRIED, clock=clock, world=world) as site:
            assert states(site)["disk-data"] == (Level.unknown, "no-answer")
            assert site.presence.status.startswith("UNKNOWN 1/4 disk-data does not answer since")
            assert "no answer from /data" in await site.say("host summary")
            rows = (await site.ask("host disks")).data
            assert [(row["mount"], row["note"]) for row in rows] == [("/", ""), ("/data", "does not answer")]
            await look_again(site, clock)
            assert world.asked.count("/data") == 1
            world.dead.clear()
            world.alive.set()
            await look_again(site, clock)
            await look_again(site, clock)
            assert states(site)["disk-data"] == (Level.ok, "up")
    finally:
        world.alive.set()


async def test_a_stale_mount_says_why_and_one_that_is_not_ours_says_nothing() -> None:
    world = FakeWorld(mounted=[NFS, Mount("x", "/run/user/1/doc", "fuse.x")])
    world.spaces = {"/data": OSError(116, "Stale file handle"), "/run/user/1/doc": PermissionError()}
    async with stage(HostModule, QUICK, world=world) as site:
        assert site.health.parts["disk-data"].text == "stale file handle"
        assert set(states(site)) == {"load", "memory", "disk-data"}


async def test_a_mount_that_went_leaves_the_health() -> None:
    clock, world = FakeClock(), FakeWorld(mounted=[NFS], spaces={"/data": full(99)})
    async with stage(HostModule, QUICK, clock=clock, world=world) as site:
        assert site.presence.show == "dnd"
        world.mounted = []
        await look_again(site, clock)
        assert site.presence.status == "OK 2/2"
        world.mounted, world.spaces = [NFS], {"/data": full(84)}  # within the slack of what it was
        await look_again(site, clock)
        assert site.presence.status == "OK 3/3"


# Commands


async def test_a_summary_is_one_line_and_has_numbers_for_programs() -> None:
    world = FakeWorld(
        swap_used=3,
        sensors=[Heat("cpu", 45.5)],
        mounted=[Mount("/dev/sda1", "/", "ext4"), NFS, Mount("/dev/sr0", "/cd", "ext4", read_only=True)],
        spaces={"/": full(50), "/data": full(70), "/cd": full(100)},
    )
    async with stage(HostModule, QUICK, world=world) as site:
        assert await site.say("host summary") == (
            "load 0.25 per core (2), memory 40 % of 100 GiB, swap 3 %, disk /data 70 %, 46 °C"
        )
        data = (await site.ask("host summary")).data
        assert (data["load"], data["disk"], data["disk_used"], data["temperature"]) == (0.25, "/data", 70.0, 45.5)


async def test_what_a_host_has_not_is_not_in_its_summary() -> None:
    async with stage(HostModule, QUICK, world=FakeWorld(mounted=[])) as site:
        assert await site.say("host summary") == "load 0.25 per core (2), memory 40 % of 100 GiB"


async def test_disks_are_a_table_with_units() -> None:
    world = FakeWorld(mounted=[Mount("/dev/sda1", "/", "ext4"), NFS], spaces={"/": full(50, 12.34), "/data": full(70)})
    async with stage(HostModule, QUICK, world=world) as site:
        assert (await site.say("host disks")).splitlines()[-3:] == [
            "mount     size    used    free  percent  inodes  kind  read only",
            "/      100 GiB  50 GiB  50 GiB     50 %  12.3 %  ext4         no",
            "/data  100 GiB  70 GiB  30 GiB     70 %       -  nfs4         no",
        ]


async def test_what_an_interface_carries_is_known_from_the_second_look_on() -> None:
    clock, world = FakeClock(), FakeWorld()
    world.interfaces = {"eth0": Link(True, 1e10), "eth1": Link(False)}
    async with stage(HostModule, QUICK, clock=clock, world=world) as site:
        row = (await site.ask("host network")).data[0]
        assert (row["name"], row["up"], row["speed"], row["rx"], row["rx_rate"]) == ("eth0", True, 1e10, 1000, None)
        clock.advance(10)
        world.counters = {"eth0": Traffic(1000 + 12_500, 2000 + 1250, errors=3, drops=4)}
        row, down = (await site.ask("host network")).data
        assert (row["rx_rate"], row["tx_rate"], row["errors"], row["drops"]) == (10_000, 1000, 3, 4)
        assert (down["up"], down["rx_rate"], down["speed"]) == (False, None, None)
        assert "10 kb/s" in await site.say("host network")


async def test_counters_that_began_anew_give_no_rate() -> None:
    clock, world = FakeClock(), FakeWorld()
    async with stage(HostModule, QUICK, clock=clock, world=world) as site:
        clock.advance(10)
        world.counters = {"eth0": Traffic(1, 1)}
        assert (await site.ask("host network")).data[0]["rx_rate"] is None


async def test_each_sensor_is_listed() -> None:
    async with stage(HostModule, QUICK, world=FakeWorld(sensors=[Heat("cpu core 0", 45, 80, 100)])) as site:
        assert (await site.say("host temperature")).splitlines()[-1].split() == [
            "cpu", "core", "0", "45", "°C", "80", "°C", "100", "°C",
        ]  # fmt: skip
    async with stage(HostModule, QUICK, world=FakeWorld()) as site:
        assert (await site.ask("host temperature")).text == "nothing"


async def processes(line: str) -> list[dict[str, object]]:
    clock, world = FakeClock(1000), FakeWorld()
    old, busy = Task(1, "init", "root", 500, 10_000, 0), Task(2, "make", "eva", 100, 5000, 900)
    world.processes = [[old, busy], [old, replace(busy, cpu=100.5), Task(3, "cc1", "eva", 0.25, 70_000, 1000.5)]]
    async with stage(HostModule, QUICK, clock=clock, world=world) as site:
        answer = asyncio.create_task(site.ask(line))
        async with asyncio.timeout(5):
            await clock.wait_sleepers(SLEEPERS + 2)
        clock.advance(1)
        return (await answer).data  # type: ignore[no-any-return]


async def test_processes_are_sorted_by_what_they_take() -> None:
    rows = await processes("host processes")
    assert [(row["pid"], row["cpu"]) for row in rows] == [(2, 50.0), (3, 25.0), (1, 0.0)]
    assert [row["pid"] for row in await processes("host processes memory")] == [3, 1, 2]
    assert [row["pid"] for row in await processes("host processes by=memory count=1")] == [3]


async def test_a_process_tells_its_name_and_never_its_arguments() -> None:
    assert set((await processes("host processes"))[0]) == {"pid", "user", "cpu", "memory", "age", "name"}


async def test_more_processes_than_allowed_are_refused() -> None:
    async with stage(HostModule, QUICK, world=FakeWorld()) as site:
        assert "count: must be at most 100" in await site.say("host processes count=101")


# The machine that runs this test


async def test_this_machine_answers_every_command() -> None:
    async with stage(HostModule, Settings(), world=Machine()) as site:
        for line in ("host summary", "host disks", "host network", "host temperature"):
            assert (await site.ask(line)).state == "done"
        assert site.health.parts["memory"].text.endswith("% used")


def test_this_machine_s_numbers_are_possible() -> None:
    machine = Machine()
    assert machine.load().cores >= 1
    assert 0 < machine.memory().percent < 100
    assert any(mount.path == "/" for mount in machine.mounts())
    root = machine.space("/")
    assert root.used + root.free <= root.size
    assert 0 <= root.percent <= 100
    assert any(task.pid == 1 or task.cpu >= 0 for task in machine.tasks())
    assert set(machine.links()) <= set(machine.traffic()) | set(machine.links())


# Watching


async def test_a_watch_tells_load_memory_and_the_worst_again_and_again() -> None:
    clock, world = FakeClock(), FakeWorld(memory_used=50)
    async with stage(HostModule, QUICK, clock=clock, world=world) as site, aclosing(site.follow("host watch")) as told:
        first = await anext(told)
        assert (first["memory"], first["level"], first["worst"]) == (50.0, "ok", "")
        world.spaces["/"] = full(97)
        await clock.wait_sleepers(SLEEPERS + 2)  # what is watched sleeps, and so does the look at sessions
        clock.advance(5)
        second = await anext(told)
        assert (second["level"], second["worst"]) == ("crit", "disk-root full: 97 % full")
        assert second["at"] == "13:46:45Z"
        # Health is looked at in its own time, whoever watches.
        assert site.health.level is Level.ok


async def test_a_watch_may_be_slower_and_reads_as_a_line() -> None:
    clock = FakeClock()
    world = FakeWorld(memory_used=98)
    async with (
        stage(HostModule, QUICK, clock=clock, world=world) as site,
        aclosing(site.follow("host watch every=1min")) as told,
    ):
        row = Moment(**await anext(told))
        assert str(row).endswith("memory 98 %, memory high: 98 % used")
        assert str(replace(row, worst="", level="ok")).endswith(" per core, memory 98 %")
        await clock.wait_sleepers(SLEEPERS + 2)
        clock.advance(30)
        waiting = asyncio.ensure_future(anext(told))
        await clock.wait_sleepers(SLEEPERS + 2)
        assert not waiting.done()
        clock.advance(30)
        assert (await waiting)["level"] == "crit"
