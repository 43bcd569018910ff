"""Lines at work: in their order, sessions beside them, and never too many."""

import asyncio

import pytest

from admin_console.shell.work import Doing, Work
from amon.errors import Invalid


class Lines:
    """Lines that begin, and end when somebody says so."""

    def __init__(self) -> None:
        self.work = Work()
        self.begun: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    def put(self, line: str, *, beside: bool = False) -> Doing:
        doing, gate = Doing(line, beside), self.gates.setdefault(line, asyncio.Event())

        async def do() -> int:
            self.begun.append(line)
            doing.id = f"{len(self.begun):026}"
            await gate.wait()
            return 0

        self.work.put(doing, do)
        return doing

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


async def test_a_line_begins_when_the_one_before_it_has_ended() -> None:
    lines = Lines()
    for name in ("one", "two", "three"):
        lines.put(name)
    await lines.settle()
    assert (lines.begun, [doing.line for doing in lines.work.waiting]) == (["one"], ["two", "three"])
    lines.gates["one"].set()
    await lines.settle()
    assert lines.begun == ["one", "two"]
    await lines.work.end(0)
    assert (lines.begun, lines.work.waiting, lines.work.under_way) == (["one", "two"], [], [])


async def test_nothing_waits_for_a_session_or_for_what_is_beside() -> None:
    lines = Lines()
    session = lines.put("follow")
    lines.put("beside", beside=True)
    lines.put("last")
    await lines.settle()
    assert lines.begun == ["follow"]
    session.session()
    await lines.settle()
    assert lines.begun == ["follow", "beside", "last"]
    await lines.work.end(0)


async def test_control_c_means_the_line_that_others_wait_for() -> None:
    lines = Lines()
    stopped: list[str] = []
    session, last = lines.put("follow"), lines.put("last")
    await lines.settle()
    session.session()
    await lines.settle()
    with (
        session.interrupts.mean(lambda: stopped.append("follow")),
        last.interrupts.mean(lambda: stopped.append("last")),
    ):
        assert lines.work.interrupt()
        assert stopped == ["last"]
        lines.gates["last"].set()
        await lines.settle()
        assert not lines.work.interrupt()
    await lines.work.end(0)


async def test_what_is_meant_by_an_end_of_an_id() -> None:
    lines = Lines()
    with pytest.raises(Invalid, match="nothing is under way"):
        lines.work.meant("")
    first = lines.put("first", beside=True)
    await lines.settle()
    assert lines.work.meant("") == [first]
    second = lines.put("second", beside=True)
    await lines.settle()
    assert lines.work.meant(second.id[-4:].lower()) == [second]
    assert lines.work.meant("ALL") == [first, second]
    for ident, said in (("", "which one"), ("zzzz", "no job under way"), ("", "0001 .first., 0002 .second.")):
        with pytest.raises(Invalid, match=said):
            lines.work.meant(ident)
    await lines.work.end(0)


async def test_too_many_lines_are_refused() -> None:
    lines = Lines()
    for number in range(100):
        lines.put(str(number))
    with pytest.raises(Invalid, match="100 lines are under way or wait"):
        lines.put("one more")
    await lines.work.end(0)
    assert lines.begun == []


async def test_what_never_began_is_just_gone_when_it_is_stopped() -> None:
    lines = Lines()
    lines.put("one")
    waiting = lines.put("two")
    await lines.settle()
    waiting.stop()
    lines.gates["one"].set()
    await lines.settle()
    assert lines.begun == ["one"]
    assert lines.work.waiting == []
