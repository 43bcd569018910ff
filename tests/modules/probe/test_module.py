"""A probe instance on a stage, against loopback: what goes on by itself, how it is told, what may be asked."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from amon.clock import SystemClock
from amon.convert import from_data
from amon.errors import Problem
from amon.health import Level
from amon.testing import stage
from modules.probe import Gap, ProbeModule, Results, Settings
from modules.probe.icmpsocket import Heard
from modules.probe.settings import Demand, Limits
from modules.probe.targets import Targets
from modules.probe.tcp import Settings as Tcp
from tests.modules.probe.probeworlds import Names, Packet, Wires, tcp_server
from tests.waiting import until

LOOPBACK = ("127.0.0.0/8", "::1/128")


def settings(*targets: str, **more: object) -> Settings:
    return Settings(targets=targets, **{"interval": 0.2, "allow": LOOPBACK, **more})  # type: ignore[arg-type]


class Kept:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.lists: list[Targets] = []
        self.results: list[Results] = []
        self.gaps: list[Gap] = []

    def listed(self, instance: str, targets: Targets) -> None:
        self.lists.append(targets)

    def take(self, results: Results) -> None:
        self.results.append(results)

    def gap(self, gap: Gap) -> None:
        self.gaps.append(gap)


def world(**more: Any) -> dict[str, Any]:
    names = Names({"me.example": ("127.0.0.1",), "other.example": ("192.0.2.1",)})
    return {"clock": SystemClock(), "name": "probe", "resolver": names, "random": Random(1), **more}


# What goes on by itself


async def test_targets_are_probed_and_told_as_health_and_results_go_to_the_sink() -> None:
    sink = Kept()
    async with stage(ProbeModule, settings("127.0.0.1 me", "127.0.0.2"), **world(sink=sink)) as site:
        await until(lambda: sum(one.rows for one in sink.results) >= 4)
        assert site.health.level is Level.ok
        assert set(site.health.parts) == {"me", "127.0.0.2"}
        assert len(sink.lists) == 1
        assert [sink.lists[0].text(row) for row in range(2)] == ["127.0.0.1", "127.0.0.2"]
        assert {one.kind for one in sink.results} == {"ping"}
        assert {one.revision for one in sink.results} == {sink.lists[0].revision}
        outcome = await site.ask("probe targets")
        assert [(row["target"], row["level"], row["loss"], row["last"]) for row in outcome.data] == [
            ("me", "ok", 0.0, "good"),
            ("127.0.0.2", "ok", 0.0, "good"),
        ]
        latest = (await site.ask("probe latest me 3")).data
        assert {row["target"] for row in latest} == {"me"}
        assert all(row["state"] == "good" and 0 <= row["rtt"] < 1 for row in latest)
        status = (await site.ask("probe status")).data
        assert (status["targets"], status["bad"], status["way"]) == (2, 0, "this agent")
        assert status["probed"] >= 4


async def test_a_service_that_does_not_answer_is_bad_news_in_presence() -> None:
    limits = Limits(window=1, hold=0)
    async with tcp_server(lambda reader, writer: asyncio.sleep(60)) as port:
        made = settings("127.0.0.1 shop", kind="tcp", tcp=Tcp(port=port), limits=limits)
        async with stage(ProbeModule, made, **world()) as site:
            await until(lambda: site.health.parts["shop"].text.startswith("good, ") if site.health.parts else False)
            assert site.presence.show == "available"
        gone = settings("127.0.0.1 shop", kind="tcp", tcp=Tcp(port=1, timeout=1), limits=limits)
        async with stage(ProbeModule, gone, **world()) as site:
            await until(lambda: site.presence.show == "dnd")
            assert "shop 100 % not good" in site.presence.status
            assert (await site.ask("probe targets bad")).data[0]["level"] == "crit"
            assert "connect" in (await site.ask("probe latest shop 1")).data[0]["text"]


@pytest.mark.parametrize(("name", "whose"), [("mesh", "of mesh: "), ("probe", "")])
async def test_what_is_not_well_says_of_which_of_several_instances_it_is(name: str, whose: str) -> None:
    made = settings("127.0.0.1 me", kind="tcp", tcp=Tcp(port=9), limits=Limits(window=1), files=(Path("/nowhere"),))
    async with stage(ProbeModule, made, **world(name=name)) as site:
        await until(lambda: {part for part, one in site.health.parts.items() if one.level} == {"me", "list"})
        assert site.health.parts["me"].text == f"{whose}100 % not good"
        assert site.health.parts["list"].text.startswith(f"{whose}/nowhere cannot be read")
        # A site's line names a part without its instance.
        assert site.presence.status.startswith(f"CRIT 2/2 me {whose}100 % not good since ")
        assert site.module.course.judge.bad_count == 1


async def test_targets_that_cannot_be_asked_from_here_are_not_said_to_be_well() -> None:
    made = settings("127.0.0.1", "127.0.0.2", sources=("192.0.2.77",))  # no address of this host
    async with stage(ProbeModule, made, **world()) as site:
        course = site.module.course
        await until(lambda: course.standing.count("unmeasured") == 2)
        course.stir.set()  # it looks every ten seconds by itself
        await until(lambda: "unmeasured" in site.health.parts)
        told = site.health.parts["unmeasured"]
        assert (told.level, "2 of 2 cannot be probed from here: " in told.text) == (Level.warning, True)
        assert "assign" in told.text
        assert {row["last"] for row in (await site.ask("probe targets")).data} == {"unmeasured"}
        assert not course.judge.bad_count  # it says nothing of them


async def test_junk_and_names_without_address_are_told_and_the_rest_is_probed(tmp_path: Path) -> None:
    path = tmp_path / "eu.txt"
    path.write_text("127.0.0.1 one\nwhat is this\nme.example\nmissing.example\n127.0.0.1\n")
    async with stage(ProbeModule, settings(files=(path,)), **world()) as site:
        await until(lambda: len(site.module.course.targets) == 3 - 1)
        health = site.health.parts["list"]
        assert health.level is Level.warning
        assert health.text == "eu.txt:2 has 3 words; an address, and perhaps a label; missing.example has no address"
        assert (await site.ask("probe targets junk")).data == [
            {"place": "eu.txt:2", "why": "has 3 words; an address, and perhaps a label"}
        ]
        assert [row["target"] for row in (await site.ask("probe targets missing")).data] == ["missing.example"]
        status = (await site.ask("probe status")).data
        assert (status["junk"], status["duplicates"]) == (1, 2)


async def test_a_file_is_read_again_when_it_changes_and_kept_when_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("127.0.0.1 one\n127.0.0.2 two\n")
    sink = Kept()
    async with stage(ProbeModule, settings(files=(path,)), **world(sink=sink)) as site:
        course = site.module.course
        await until(lambda: course.standing.size == 2 and course.standing.seen[1])
        path.write_text("127.0.0.2 two\n127.0.0.3 three\n")
        course.stir.set()  # it looks every ten seconds by itself
        await until(lambda: len(sink.lists) == 2)
        assert course.standing.seen[0]  # what was known of `two` went with it
        assert not course.standing.loss(1, 20)
        await until(lambda: sink.results[-1].revision == sink.lists[-1].revision)
        path.unlink()
        course.stir.set()
        await until(lambda: "list" in site.health.parts)
        assert "cannot be read" in site.health.parts["list"].text
        assert len(course.targets) == 2
        path.write_text("127.0.0.3 three\n")
        course.stir.set()
        await until(lambda: len(sink.lists) == 3)
        assert "list" not in site.health.parts


async def test_groups_are_told_by_name_where_targets_are_many() -> None:
    made = settings(groups={"near": ("127.0.0.1", "127.0.0.2"), "far": ("127.0.1.1",)}, limits=Limits(parts=1))
    async with stage(ProbeModule, made, **world()) as site:
        await until(lambda: set(site.health.parts) == {"near", "far"})
        assert site.health.parts["near"].text == "2 targets"


async def test_more_than_this_loop_can_do_is_told_and_done_slower() -> None:
    made = settings(*(f"127.0.{n >> 8}.{n & 255}" for n in range(1, 201)), interval=1)
    async with stage(ProbeModule, made, **world()) as site:
        await until(lambda: "schedule" in site.health.parts)
        assert "need the packet engine" in site.health.parts["schedule"].text
        assert (await site.ask("probe status")).data["interval"] == 4.0


async def test_without_targets_it_is_well_and_probes_on_demand() -> None:
    async with stage(ProbeModule, settings(), **world()) as site:
        assert site.presence.show == "available"
        assert (await site.ask("probe ping 127.0.0.1 -c 1")).state == "done"


async def test_a_sink_that_breaks_does_not_end_the_probing() -> None:
    class Broken(Kept):
        def take(self, results: Results) -> None:
            super().take(results)
            raise RuntimeError("no room")

    sink = Broken()
    async with stage(ProbeModule, settings("127.0.0.1"), **world(sink=sink)) as site:
        await until(lambda: len(sink.results) >= 2)
        assert site.module.course.window.rows >= 2
        assert "bugs" in str((await site.ask("probe status")).data["notes"])


# Pause and resume


async def test_a_pause_is_planned_kept_over_a_restart_and_ended_by_resume(tmp_path: Path) -> None:
    made = settings("127.0.0.1")
    async with stage(ProbeModule, made, state=tmp_path, **world()) as site:
        await until(lambda: site.module.course.runner.begun)
        plan = await site.ask("probe pause", dry_run=True)
        assert "would: stop that" in plan.text
        assert (await site.ask("probe pause")).state == "done"
        assert site.presence.show == "xa"
        assert (await site.ask("probe pause")).state == "refused"
    sink = Kept()
    async with stage(ProbeModule, made, state=tmp_path, **world(sink=sink)) as site:
        assert "paused by owner@example.org" in site.presence.status
        await until(lambda: len(site.module.course.targets))
        assert site.module.course.paused
        assert (await site.ask("probe ping 127.0.0.1 -c 1")).state == "done"  # on demand goes on
        assert "would: probe 1 targets" in (await site.ask("probe resume", dry_run=True)).text
        assert (await site.ask("probe resume")).state == "done"
        assert [(one.instance, one.why) for one in sink.gaps] == [("probe", "paused")]
        assert sink.gaps[0].end > sink.gaps[0].begin > 1e9
        assert "the last: paused" in str((await site.ask("probe status")).data["notes"])
        await until(lambda: site.module.course.runner.begun)
        assert (await site.ask("probe resume")).state == "refused"


async def test_a_broken_pause_file_is_still_a_pause(tmp_path: Path) -> None:
    async with stage(ProbeModule, settings("127.0.0.1"), state=tmp_path, **world()) as site:
        path = site.module.env.state / "paused.json"
    path.write_text("[1")
    async with stage(ProbeModule, settings("127.0.0.1"), state=tmp_path, **world()) as site:
        assert "paused nobody knows by whom" in site.presence.status


# On demand


async def test_ping_takes_the_letters_people_know() -> None:
    async with stage(ProbeModule, settings(), **world()) as site:
        outcome = await site.ask("probe ping 127.0.0.1 -c 7 -i 0.01 -s 100 -t 9")
        assert outcome.state == "done"
        assert (outcome.data["sent"], outcome.data["answered"]) == (7, 7)
        assert "7 of 7 answered" in outcome.text


async def test_several_targets_are_probed_side_by_side_and_names_are_resolved() -> None:
    async with stage(ProbeModule, settings(), **world()) as site:
        outcome = await site.ask("probe ping 127.0.0.1 me.example nobody.example -c 1")
        assert [(row["target"], row["state"]) for row in outcome.data] == [
            ("127.0.0.1", "good"),
            ("me.example", "good"),
            ("nobody.example", "failed"),
        ]


async def test_explain_tells_the_story_of_a_probe() -> None:
    async with stage(ProbeModule, settings(), **world()) as site:
        lines = (await site.say("probe ping me.example -c 2 --explain")).splitlines()
        assert any("me.example is 127.0.0.1" in line for line in lines)
        assert sum("answered by 127.0.0.1" in line for line in lines) == 2
        assert lines[-1].endswith("good")


async def test_every_kind_can_be_asked_for_once() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"GET ")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()

    async with tcp_server(serve) as port, stage(ProbeModule, settings(), **world()) as site:
        assert (await site.ask(f"probe http http://127.0.0.1:{port}/")).data["status"] == 200
        assert (await site.ask(f"probe tcp 127.0.0.1 -p {port}")).data["state"] == "good"
        assert (await site.ask("probe trace 127.0.0.1 -c 1")).data["reached"]
        for line in ("udp 127.0.0.1 -p 9 -c 1 -W 0.1", "ntp 127.0.0.1 -W 0.1", "dns . NS 127.0.0.1 timeout=0.1"):
            outcome = await site.ask(f"probe {line}")
            assert (outcome.state, outcome.data["state"]) == ("done", "failed"), line


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("ping 192.0.2.1", "192.0.2.1 is not in `allow` of this instance"),
        ("ping other.example", "192.0.2.1 is not in `allow` of this instance"),
        ("http http://192.0.2.1/", "192.0.2.1 is not in `allow` of this instance"),
        ("tcp other.example", "not in `allow`"),
        ("ntp 192.0.2.1", "not in `allow`"),
        ("dns . NS 192.0.2.1", "not in `allow`"),
        ("udp 192.0.2.1", "not in `allow`"),
        ("trace 192.0.2.1", "not in `allow`"),
    ],
)
async def test_what_the_fence_denies_is_not_asked_by_any_kind(line: str, says: str) -> None:
    async with stage(ProbeModule, settings(), **world()) as site:
        outcome = await site.ask(f"probe {line}")
        assert outcome.data["state"] == "unmeasured"
        assert says in outcome.data["reason"]


async def test_a_redirection_to_what_is_denied_is_not_followed() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/secret\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with tcp_server(serve) as port, stage(ProbeModule, settings(), **world()) as site:
        outcome = await site.ask(f"probe http http://127.0.0.1:{port}/")
        assert outcome.data["state"] == "unmeasured"
        assert "not probed from here" in outcome.data["reason"]


@pytest.mark.parametrize(
    ("line", "state", "says"),
    [
        ("ping 127.0.0.1 -c 1001", "invalid", "at most 1,000"),
        ("ping 127.0.0.1 -i 0.001", "invalid", "at least 0.01"),
        ("ping 127.0.0.1 -c 1000 -i 60", "refused", "on demand at most 20 s are taken"),
        ("trace 127.0.0.1 -m 200", "refused", "400 packets a second; on demand at most 150"),
        ("trace 127.0.0.1 127.0.0.2 127.0.0.3 -c 20", "refused", "takes 24 s; on demand at most 20 s are taken"),
        ("ping " + "127.0.0.1 " * 17, "invalid", "has 17 items"),
        ("ping 'a b'", "invalid", "must match"),
        ("ping", "invalid", "needs targets"),
    ],
)
async def test_there_are_hard_caps_on_demand(line: str, state: str, says: str) -> None:
    made = settings(demand=Demand(rate=150, longest=20))
    async with stage(ProbeModule, made, **world()) as site:
        outcome = await site.ask(f"probe {line}")
        assert outcome.state == state
        assert says.replace(",", "") in outcome.text.replace(",", "")


async def test_a_trace_of_many_is_paced_within_the_caps_and_not_refused() -> None:
    order: list[str] = []

    def script(packet: Packet) -> Iterator[tuple[float, Heard] | OSError]:
        order.append(packet.wire.address)
        if packet.ttl == 3:
            yield 0.01, packet.reply()

    hosts = [f"127.0.0.{n}" for n in range(1, 17)]
    async with stage(ProbeModule, settings(), icmp=Wires(script, SystemClock()), **world()) as site:
        outcome = await site.ask(f"probe trace {' '.join(hosts)} -c 1 -W 0.05")
        assert (outcome.state, [one["target"] for one in outcome.data]) == ("done", hosts)
        assert all(one["reached"] for one in outcome.data)
        spans = [(order.index(host), len(order) - order[::-1].index(host)) for host in hosts]
        abreast = max(sum(begin <= at < end for begin, end in spans) for at, _ in spans)
        assert abreast == 3  # 60 packets a second each, of 200
        assert site.module.caps.under_way == 0


async def test_observers_may_look_and_not_probe() -> None:
    async with stage(ProbeModule, settings(), **world()) as site:
        by = "eve@watchers.example.org"
        assert (await site.ask("probe status", by)).state == "done"
        for line in ("ping 127.0.0.1", "trace 127.0.0.1", "pause", "peers @all", "capture"):
            assert (await site.ask(f"probe {line}", by)).state == "refused"


# Settings


def read(**written: object) -> tuple[Settings | None, list[str]]:
    problems: list[Problem] = []
    found = from_data(written, Settings, "", problems)
    said: Sequence[Problem] = problems if found is None else list(ProbeModule.problems(found))
    return found, [str(one) for one in said]


def test_a_whole_configuration_is_read() -> None:
    found, problems = read(
        kind="trace", interval="1 min", targets=["192.0.2.1 gw"], groups={"eu": ["2001:db8::1"]}, mesh=True,
        allow=["192.0.2.0/24"], limits={"loss_warn": "1 %", "hold": "5 min"}, trace={"count": 2},
    )  # fmt: skip
    assert problems == []
    assert found is not None
    assert (found.interval, found.limits.hold, found.trace.count) == (60, 300, 2)


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({"kind": "pong"}, "kind: expected one of ping, trace"),
        ({"interval": "1 ms"}, "interval: must be at least 0.1 s"),
        ({"targets": ["192.0.2.1", "10.0.0.300"]}, "targets[1]: '10.0.0.300' is neither an address nor a name"),
        ({"groups": {"eu": ["a b c"]}}, "groups.eu[0]: has 3 words"),
        ({"allow": ["192.0.2.0/33"]}, "allow[0]: '192.0.2.0/33' does not appear"),
        ({"echo": {"port": 7, "allow": ["300.0.0.0/8"]}}, "echo.allow[0]: '300.0.0.0/8' does not appear"),
        ({"sources": ["192.0.2.1", "192.0.2"]}, "sources[1]: '192.0.2' is no address of a host"),
        ({"limits": {"loss_warn": "60 %"}}, "limits: loss_warn (60) must not be above loss_crit (50)"),
        ({"tenant": "a b"}, "tenant: must match"),
        ({"demand": {"rate": 1_000_000}}, "demand.rate: must be at most 10000"),
        ({"target": []}, "target: is not known here; did you mean targets"),
    ],
)
def test_mistakes_are_told_with_their_place(written: dict[str, object], says: str) -> None:
    _, problems = read(**written)
    assert any(one.startswith(says) for one in problems), problems


async def test_while_a_list_changes_nobody_is_probed_in_the_place_of_another(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    sink = Kept()

    def more(before: int) -> bool:
        return len(sink.lists) > before

    async with tcp_server(lambda reader, writer: asyncio.sleep(0)) as port:
        made = settings(files=(path,), kind="tcp", tcp=Tcp(port=port, timeout=1), interval=0.1)
        path.write_text("".join(f"127.0.0.{n}\n" for n in range(1, 6)))
        async with stage(ProbeModule, made, **world(sink=sink)) as site:
            course = site.module.course
            for turn in range(8):
                before = len(sink.lists)
                await until(lambda: course.window.taken)
                path.write_text("".join(f"127.0.{turn + 1}.{n}\n" for n in range(1, 2 + turn % 5)))
                course.stir.set()
                await until(partial(more, before))
            await until(lambda: sink.results[-1].revision == sink.lists[-1].revision)
            assert course.bugs == 0
    for one in sink.results:
        of = next(listed for listed in sink.lists if listed.revision == one.revision)
        asked = one.columns["address"].values()
        assert [of.address(row) for row in one.columns["target"].values()] == list(asked)
