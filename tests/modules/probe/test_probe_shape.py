"""The one shape: what ends a probe, what is told of it, and what a stranger's words may do."""

import asyncio
import errno
import subprocess
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest

from amon.convert import fields_of, from_data, to_data
from amon.errors import Problem
from amon.fields import Field
from amon.testing import FakeClock
from modules.probe import dns, http, ntp, ping, shape, tcp, trace, udp
from modules.probe.shape import Measurement, Step, Stop, Trial, columns_of
from tests.modules.probe.probeworlds import tcp_server, udp_server, world

KINDS = [
    (dns, dns.Dns),
    (http, http.Http),
    (ntp, ntp.Ntp),
    (ping, ping.Ping),
    (tcp, tcp.Tcp),
    (trace, trace.Trace),
    (udp, udp.Udp),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing(Measurement):
    rtt: Annotated[float | None, Field("round trip", unit="s")] = None
    names: tuple[str, ...] = ()

    def summary(self) -> str:
        return "" if self.rtt is None else f"rtt {self.rtt:g}"


def trial(**more: Any) -> Trial[Thing]:
    return Trial(Thing(target="there"), world(**more))


async def ends(body: Coroutine[Any, Any, None], one: Trial[Thing], within: float = 5.0) -> tuple[str, str]:
    found = await one.run(body, within)
    return found.state, found.reason


async def test_what_was_learnt_before_a_failure_stays() -> None:
    one = trial()

    async def body() -> None:
        one.know(rtt=0.5)
        raise Stop("wrong", "status 500")

    found = await one.run(body(), 5)
    assert (found.state, found.reason, found.rtt) == ("wrong", "status 500", 0.5)
    assert str(found) == "there: wrong: status 500; rtt 0.5"


async def test_silence_is_a_failure_with_its_time() -> None:
    one = trial()
    assert await ends(asyncio.Event().wait(), one, 0.05) == ("failed", "no answer in 0.05 s")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("number", "state"),
    [
        (errno.ECONNREFUSED, "failed"),
        (errno.EHOSTUNREACH, "failed"),
        (errno.EPERM, "unmeasured"),
        (errno.EMFILE, "unmeasured"),
    ],
)
async def test_what_this_host_refuses_says_nothing_about_the_target(number: int, state: str) -> None:
    async def body() -> None:
        raise OSError(number, "because")

    assert (await ends(body(), trial()))[0] == state


async def test_a_bug_stays_a_bug() -> None:
    async def body() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await trial().run(body(), 5)


async def test_who_stops_a_probe_gets_no_measurement() -> None:
    task = asyncio.create_task(trial().run(asyncio.Event().wait(), 5))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_story_has_times_since_the_start_and_ends_with_the_verdict() -> None:
    clock = FakeClock(1_000)
    one = trial(clock=clock)

    async def body() -> None:
        clock.advance(0.25)
        one.say("asked")
        clock.advance(0.5)

    found = await one.run(body(), 5)
    assert (found.at, found.seconds) == (1_000, 0.75)
    assert found.explain() == ["there: good", "   250.000 ms  asked", "   750.000 ms  good"]


async def test_a_story_has_bounded_lines_of_bounded_length_without_control_characters() -> None:
    one = trial()
    for _ in range(shape.STEPS_MOST + 7):
        one.say("\x1b[31m" + "x" * 10_000)
    found = one.told("good", "")
    assert len(found.story) == shape.STEPS_MOST + 1
    assert found.story[-1].text == "7 more lines left out"
    assert all(len(step.text) <= shape.LINE_MOST and step.text.isprintable() for step in found.story)


def test_a_missing_library_names_the_extra() -> None:
    with pytest.raises(Stop, match=r"nosuchlib is not installed: pip install 'amon\[probe\]'") as stop:
        shape.need("nosuchlib.part")
    assert stop.value.state == "unmeasured"


def test_columns_are_the_plain_values_with_their_units() -> None:
    columns = {one.name: (one.type, one.unit) for one in columns_of(Thing)}
    assert columns["rtt"] == (float, "s")
    assert columns["state"] == (str, "")
    assert not {"story", "names"} & set(columns)


@pytest.mark.parametrize(("module", "kind"), KINDS, ids=lambda one: one.__name__.rpartition(".")[2])
def test_each_probe_has_the_shape(module: Any, kind: type[Measurement]) -> None:
    assert asyncio.iscoroutinefunction(module.measure)
    assert module.Settings()
    assert str(kind(target="there")) in ("there: good", "there port 0: good")
    numbers = [one for one in columns_of(kind) if one.type is float]
    assert numbers
    assert all(one.unit for one in numbers)


@pytest.mark.parametrize(("module", "kind"), KINDS, ids=lambda one: one.__name__.rpartition(".")[2])
async def test_each_probe_tells_of_an_unknown_name_and_never_raises(module: Any, kind: type[Measurement]) -> None:
    found = await module.measure("nowhere.example", module.Settings(), world())
    assert isinstance(found, kind)
    assert (found.state, found.reason) == ("failed", "nowhere.example: domain name not found")
    assert found.explain()[-1].endswith("failed: nowhere.example: domain name not found")


@pytest.mark.parametrize(("module", "kind"), KINDS, ids=lambda one: one.__name__.rpartition(".")[2])
def test_settings_and_results_can_be_written_down(module: Any, kind: type[Measurement]) -> None:
    problems: list[Problem] = []
    written = to_data(module.Settings())
    given = {name: value for name, value in written.items() if value is not None}
    assert from_data(given, module.Settings, "", problems) == module.Settings(), problems
    assert set(to_data(kind(target="x"))) >= {"target", "state", "reason", "at", "seconds", "address"}


@pytest.mark.parametrize(("module", "kind"), KINDS, ids=lambda one: one.__name__.rpartition(".")[2])
def test_each_setting_and_each_column_says_what_it_is(module: Any, kind: type[Measurement]) -> None:
    classes: tuple[Any, ...] = (module.Settings, kind)
    for cls in classes:
        for name, (hint, _) in fields_of(cls).items():
            assert hint.field.about or hint.origin is Literal, f"{cls.__name__}.{name}"
            assert hint.bare is not str or hint.field.longest or cls is kind, f"{cls.__name__}.{name} is unbounded"
            if hint.bare in (int, float) and cls is module.Settings:
                assert hint.field.least is not None, f"{cls.__name__}.{name} has no least"


def test_a_step_reads_in_milliseconds() -> None:
    assert str(Step(1.5, "x")) == "  1500.000 ms  x"


_WITHOUT = """
import asyncio, sys
for name in ("dns", "h11", "numpy"):
    sys.modules[name] = None  # as if it were not installed
from amon.clock import SystemClock
from modules.probe import dns, http, ntp, ping, tcp, trace, udp
from modules.probe.names import SystemResolver
from modules.probe.shape import World

async def main():
    world = World(SystemClock(), SystemResolver())
    print(await dns.measure("127.0.0.1", dns.Settings(), world))
    print(await http.measure("http://127.0.0.1/", http.Settings(), world))

asyncio.run(main())
"""


def test_without_the_extra_all_is_imported_and_the_probes_that_need_it_name_it() -> None:
    done = subprocess.run([sys.executable, "-c", _WITHOUT], capture_output=True, text=True, timeout=50, check=False)
    assert done.stdout.splitlines() == [
        "127.0.0.1: unmeasured: dns is not installed: pip install 'amon[probe]'",
        "http://127.0.0.1/: unmeasured: h11 is not installed: pip install 'amon[probe]'",
    ], done.stderr


async def test_each_service_is_probed_over_ipv6_as_over_ipv4() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await reader.read()

    here = world({"www.example.org": ["::1"]})
    async with tcp_server(serve, host="::1") as port, udp_server(lambda data: [data], host="::1") as udp_port:
        found: list[Measurement] = [
            await http.measure(f"http://[::1]:{port}/", http.Settings(), here),
            await http.measure(f"http://www.example.org:{port}/", http.Settings(family=6), here),
            await tcp.measure("::1", tcp.Settings(port=port, banner=True, family=6), here),
            await udp.measure("::1", udp.Settings(port=udp_port, count=1), here),
            # An echo is no answer to these, but it comes.
            await dns.measure("::1", dns.Settings(port=udp_port, timeout=0.1), here),
            await ntp.measure("::1", ntp.Settings(port=udp_port, timeout=0.1), here),
        ]
    assert [one.address for one in found] == ["::1"] * 6
    assert [one.good for one in found] == [True] * 4 + [False] * 2, found
    assert [getattr(one, "bogus", 0) for one in found] == [0, 0, 0, 0, 1, 1]
