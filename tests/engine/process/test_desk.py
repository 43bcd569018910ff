"""The engine's desk: who may speak, and what a client can cost that is hostile, broken or asleep."""

import array
import errno
import gc
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from amon.engine.desk.connection import Client, Peer, peer_of
from amon.engine.desk.server import Account, Bounds, Desk, Said
from amon.engine.messages import (
    MESSAGE_MOST,
    TARGETS_MOST,
    VERSION,
    AnyReport,
    Ask,
    Begin,
    Capture,
    Captured,
    End,
    Hello,
    Order,
    Refused,
    Spec,
    Targets,
    encode,
    read_report,
)
from amon.engine.program.privileges import effective

SECOND = 1_000_000_000
LIMIT = Bounds(clients=4, same_user=3, faults=3, rate=10, burst=20, full=50_000, most=200_000)
TOO_MANY = "too many clients are connected; next: close some"
ACCOUNTS = (Account("ops"), Account("lab"))


class Room:
    """A desk, and the sockets of those who come to it. The clock is the test's."""

    def __init__(
        self, bounds: Bounds = LIMIT, accounts: tuple[Account, ...] = (Account("ops"), Account("lab"))
    ) -> None:
        self.now = 1000 * SECOND
        self.desk = Desk(None, accounts, bounds)
        self.ends: list[socket.socket] = []

    def come(self) -> tuple[socket.socket, Client]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self.ends.append(ours)
        return ours, self.desk.admit(theirs, self.now)

    def enter(self, tenant: str = "ops") -> tuple[socket.socket, Client]:
        """One who has said hello."""
        end, client = self.come()
        end.send(encode(Hello(VERSION, tenant)))
        assert [one.order for one in self.read()] == [Hello(VERSION, tenant)]
        return end, client

    def read(self, **more: int) -> list[Said]:
        return self.desk.read_orders(self.now, **more)

    def close(self) -> None:
        self.desk.close()
        for one in self.ends:
            one.close()


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room()
    yield room
    room.close()


def said_to(end: socket.socket) -> list[AnyReport]:
    """All that has come, without what a close looks like."""
    found: list[AnyReport] = []
    while True:
        try:
            data = end.recv(2 * MESSAGE_MOST)
        except BlockingIOError:
            return found
        if not data:
            return found
        found.append(read_report(data))


def is_closed(end: socket.socket) -> bool:
    try:
        return end.recv(1) == b""
    except BlockingIOError:
        return False


def refusals(end: socket.socket) -> list[str]:
    return [one.text for one in said_to(end) if isinstance(one, Refused)]


def test_orders_are_handed_on_in_their_order_after_hello(room: Room) -> None:
    end, client = room.enter()
    end.send(encode(Begin(7, Spec())))
    end.send(encode(End(7)))
    assert room.read() == [Said(client, Begin(7, Spec())), Said(client, End(7))]
    assert (client.tenant, room.desk.clients) == ("ops", (client,))


def test_a_report_reaches_the_one_it_is_for(room: Room) -> None:
    (one, _), (two, other) = room.enter(), room.enter("lab")
    room.desk.send(other, Refused("x"))
    assert (said_to(one), said_to(two)) == ([], [Refused("x")])


@pytest.mark.parametrize("order", [Ask(), Begin(1, Spec()), Capture(1)])
def test_who_does_not_say_hello_first_is_refused_and_closed(room: Room, order: Order) -> None:
    end, _ = room.come()
    end.send(encode(order))
    assert room.read() == []
    assert refusals(end) == ["say hello first"]
    assert is_closed(end)


def test_who_never_says_hello_is_closed_after_a_while(room: Room) -> None:
    end, _ = room.come()
    room.now += 4 * SECOND
    assert room.read() == []
    assert not is_closed(end)
    room.now += 2 * SECOND
    assert room.read() == []
    assert refusals(end) == ["no hello within 5 s"]
    assert is_closed(end)


def test_another_version_is_refused_with_what_to_do(room: Room) -> None:
    end, _ = room.come()
    end.send(encode(Hello(VERSION + 1, "ops")))
    assert room.read() == []
    assert refusals(end) == [f"this engine speaks version 1, not {VERSION + 1}; next: the same amon on both sides"]
    assert is_closed(end)


def test_a_tenant_that_is_not_there_is_refused_to_root_too(room: Room) -> None:
    end, _ = room.come()
    end.send(encode(Hello(VERSION, "nobody")))
    assert room.read() == []
    (text,) = refusals(end)
    assert "may not speak for tenant 'nobody'; next: put it into users or groups of [tenants.nobody]" in text
    assert is_closed(end)


def test_hello_is_said_once(room: Room) -> None:
    end, client = room.enter()
    end.send(encode(Hello(VERSION, "lab")))
    assert room.read() == []
    assert refusals(end) == ["hello is said once"]
    assert client.tenant == "ops"


@pytest.mark.parametrize(
    ("uid", "gids", "may"),
    [(1001, {5}, True), (1002, {5, 2000}, True), (1002, {5}, False), (0, {5}, True), (os.geteuid(), {5}, True)],
)
def test_a_tenant_is_for_its_users_and_groups_root_and_the_engines_own_user(
    uid: int, gids: set[int], may: bool
) -> None:
    room = Room(accounts=(Account("ops", frozenset({1001}), frozenset({2000})),))
    end, client = room.come()
    client.peer = Peer(1, uid, frozenset(gids))
    end.send(encode(Hello(VERSION, "ops")))
    assert [one.order for one in room.read()] == ([Hello(VERSION, "ops")] if may else [])
    assert bool(refusals(end)) is not may
    assert is_closed(end) is not may
    room.close()


def test_who_connects_is_known_by_the_kernel_with_all_his_groups() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        peer = peer_of(theirs)
    assert (peer.pid, peer.uid) == (os.getpid(), os.geteuid())
    assert peer.gids == {os.getegid(), *os.getgroups()}


def test_after_a_reload_who_may_not_speak_any_more_is_closed_and_his_jobs_end(room: Room) -> None:
    (one, _), (two, gone) = room.enter(), room.enter("lab")
    room.desk.reload([Account("ops")])
    assert refusals(two) == ["tenant 'lab' is not for you any more"]
    assert is_closed(two)
    assert not is_closed(one)
    assert room.read() == [Said(gone, None)]


@pytest.mark.parametrize(
    "junk",
    [
        b"\xc1", b"\x00", b"GET / HTTP/1.1\r\n\r\n", b"\x81\xa4kind\xa5begin", encode(Begin(1, Spec()))[:-3],
        encode(Begin(1, Spec()))[5:], msgspec.msgpack.encode({"kind": "begin", "job": -1, "spec": {}}),
        msgspec.msgpack.encode({"kind": "nonsense"}), b"\x91" * 5000,
        msgspec.msgpack.encode({"kind": "ask", "more": 1}),
        msgspec.msgpack.encode({"kind": "targets", "job": 1, "addresses": b"x" * 16 * (TARGETS_MOST + 1)}),
        msgspec.msgpack.encode({"kind": "begin", "job": 1, "spec": {"interval": 0}}),
    ],
)  # fmt: skip
def test_what_is_no_order_is_refused_and_the_next_one_is_heard(room: Room, junk: bytes) -> None:
    end, client = room.enter()
    end.send(junk)
    end.send(encode(Ask()))
    assert room.read() == [Said(client, Ask())]
    (text,) = refusals(end)
    assert text.startswith("not understood: ")
    assert len(text) < 300


def test_a_message_that_is_too_large_is_refused(room: Room) -> None:
    end, client = room.enter()
    end.send(b"x" * (MESSAGE_MOST + 1))
    end.send(encode(Ask()))
    assert room.read() == [Said(client, Ask())]
    assert refusals(end) == ["this message is too large"]


def test_the_largest_list_fits(room: Room) -> None:
    end, client = room.enter()
    order = Targets(1, bytes(16 * TARGETS_MOST))
    end.send(encode(order))
    assert room.read() == [Said(client, order)]


def test_who_sends_only_junk_is_closed_after_some_and_hears_why(room: Room) -> None:
    end, client = room.enter()
    for _ in range(20):
        end.send(b"junk")
    assert room.read() == [Said(client, None)]
    assert len(refusals(end)) == LIMIT.faults + 1
    assert is_closed(end)


def test_who_dies_in_the_middle_of_a_list_is_told_of_once_after_his_last_order(room: Room) -> None:
    end, client = room.enter()
    end.send(encode(Begin(1, Spec())))
    end.send(encode(Targets(1, bytes(16))))
    end.close()
    assert room.read() == [Said(client, Begin(1, Spec())), Said(client, Targets(1, bytes(16))), Said(client, None)]
    assert room.read() == []
    room.desk.send(client, Refused("nobody hears it"))
    assert (room.desk.clients, room.desk.queued) == ((), 0)


def test_who_goes_before_hello_is_no_news(room: Room) -> None:
    end, _ = room.come()
    end.close()
    assert room.read() == []
    assert room.desk.clients == ()


# --- descriptors


def send_with(end: socket.socket, order: Order, *descriptors: int) -> None:
    socket.send_fds(end, [encode(order)], list(descriptors))


def open_count() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_capture_comes_with_its_file(room: Room, tmp_path: Path) -> None:
    end, client = room.enter()
    with (tmp_path / "pcap").open("wb") as out:
        send_with(end, Capture(1), out.fileno())
        (said,) = room.read()
    assert (said.client, said.order) == (client, Capture(1))
    with os.fdopen(said.descriptors[0], "wb") as copy:
        copy.write(b"still open")
    assert (tmp_path / "pcap").read_bytes() == b"still open"


def test_a_capture_without_a_file_is_over_at_once(room: Room) -> None:
    end, _ = room.enter()
    end.send(encode(Capture(5)))
    assert room.read() == []
    assert said_to(end) == [Captured(5, 0, 0, text="no file descriptor came with it")]


@pytest.mark.parametrize(("order", "count"), [(Ask(), 1), (Capture(1), 2), (Capture(1), 30)])
def test_descriptors_nobody_asked_for_are_closed(room: Room, order: Order, count: int) -> None:
    end, _ = room.enter()
    before = open_count()
    with open("/dev/null", "rb") as null:  # noqa: PTH123
        send_with(end, order, *[null.fileno()] * count)
        assert room.read() == []
    assert len(refusals(end)) == 1
    assert open_count() == before


def test_descriptors_with_junk_are_closed(room: Room) -> None:
    end, _ = room.enter()
    before = open_count()
    with open("/dev/null", "rb") as null:  # noqa: PTH123
        end.sendmsg([b"junk"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null.fileno()]))])
        assert room.read() == []
    assert open_count() == before


# --- floods and sleepers


def test_who_floods_is_read_slowly_and_others_are_heard_at_once(room: Room) -> None:
    (flood, flooder), (calm, other) = room.enter(), room.enter("lab")
    for _ in range(60):
        flood.send(encode(Ask()))
    calm.send(encode(Ask()))
    first = room.read()
    assert [one.client for one in first].count(other) == 1
    heard = 0
    while got := [one for one in room.read() if one.client is flooder]:
        heard += len(got)
    assert [one.client for one in first].count(flooder) + heard == LIMIT.burst - 1  # its hello counts
    room.now += SECOND
    more = sum(len(room.read()) for _ in range(10))
    assert more == LIMIT.rate


def test_who_has_to_wait_does_not_wake_the_loop(room: Room) -> None:
    flood, _ = room.enter()
    for _ in range(60):
        flood.send(encode(Ask()))
    while room.read():
        pass
    assert not is_readable(room.desk)
    room.now += SECOND
    assert room.read() != []


def is_readable(desk: Desk) -> bool:
    return bool(select.select([desk.fileno()], [], [], 0)[0])


def fill(room: Room, client: Client, until: Callable[[], bool], size: int = 10_000) -> int:
    """Sends to one who does not read. Returns how many messages."""
    message = Refused("x" * size)
    for count in range(10_000):
        if until():
            return count
        room.desk.send(client, message)
    raise AssertionError("it never happened")


def test_who_does_not_read_is_full_and_gets_all_of_it_once_he_reads(room: Room) -> None:
    end, client = room.enter()
    count = fill(room, client, lambda: room.desk.is_full(client))
    assert client.queued < 2 * LIMIT.full
    got = said_to(end)
    while client.queued:
        room.read()
        got += said_to(end)
    assert len(got) == count
    assert not room.desk.is_full(client)


def test_who_does_not_read_is_not_heard_either_but_others_are(room: Room) -> None:
    (end, client), (calm, other) = room.enter(), room.enter("lab")
    fill(room, client, lambda: client.queued > 2 * LIMIT.full)
    end.send(encode(Ask()))
    calm.send(encode(Ask()))
    assert room.read() == [Said(other, Ask())]
    assert not is_readable(room.desk)
    said_to(end)
    room.read()
    while client.queued:
        said_to(end)
        assert all(one.client is client for one in room.read())
    assert not room.desk.is_full(client)


def test_who_never_reads_is_closed_and_his_memory_given_back(room: Room) -> None:
    _, client = room.enter()
    fill(room, client, lambda: client.closed)
    assert room.desk.queued == 0
    assert room.read() == [Said(client, None)]


def test_who_is_full_and_dies_is_noticed(room: Room) -> None:
    end, client = room.enter()
    fill(room, client, lambda: client.queued > 2 * LIMIT.full)
    end.send(encode(Ask()))
    room.read()
    end.close()
    assert room.read()[-1] == Said(client, None)


def test_one_turn_takes_only_so_many_orders(room: Room) -> None:
    ends = [room.enter()[0] for _ in range(3)]
    for end in ends:
        for _ in range(5):
            end.send(encode(Ask()))
    assert len(room.read(most=4, each=2)) == 4
    rest = 0
    while got := room.read(most=4, each=2):
        assert len(got) <= 4
        rest += len(got)
    assert rest == 11


# --- the listener


class Door(Room):
    """A desk with a socket that anybody may come to."""

    def __init__(self, address: str, listener: socket.socket | None = None) -> None:
        super().__init__()
        self.listener = listener or socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(address)
        self.listener.listen(20)
        self.address = address
        self.desk.close()
        self.desk = Desk(self.listener, (Account("ops"),), LIMIT)

    def knock(self) -> socket.socket:
        end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        end.connect(self.address)
        end.setblocking(False)
        self.ends.append(end)
        return end

    def close(self) -> None:
        super().close()
        self.listener.close()


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    door = Door(str(tmp_path / "socket"))
    yield door
    door.close()


def test_who_connects_is_let_in(door: Door) -> None:
    end = door.knock()
    end.send(encode(Hello(VERSION, "ops", "a test")))
    assert is_readable(door.desk)
    said = door.read() + door.read()
    assert [one.order for one in said] == [Hello(VERSION, "ops", "a test")]
    door.desk.send(said[0].client, Refused("heard"))
    assert len(said_to(end)) == 1


def test_too_many_clients_of_one_user_are_refused_and_the_others_stay(door: Door) -> None:
    ends = [door.knock() for _ in range(LIMIT.same_user + 2)]
    door.read()
    assert [refusals(end) for end in ends[LIMIT.same_user :]] == [
        ["too many clients are connected; next: close some"]
    ] * 2
    assert not any(is_closed(end) for end in ends[: LIMIT.same_user])
    ends[0].close()
    door.read()
    again = door.knock()
    door.read()
    assert not is_closed(again)


class Exhausted(socket.socket):
    """As where no descriptor is left. asked: how often somebody tried."""

    broken, asked = True, 0

    def accept(self) -> tuple[socket.socket, object]:
        self.asked += 1
        if self.broken:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


def test_where_no_descriptor_is_left_nobody_is_taken_for_a_while_and_the_loop_sleeps(tmp_path: Path) -> None:
    listener = Exhausted(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    door = Door(str(tmp_path / "socket"), listener)
    end = door.knock()
    for _ in range(5):
        assert door.read() == []
        assert not is_readable(door.desk)
    assert listener.asked == 1
    listener.broken = False
    door.now += SECOND
    end.send(encode(Hello(VERSION, "ops")))
    assert [one.order for one in door.read() + door.read()] == [Hello(VERSION, "ops")]
    door.close()


def test_who_is_held_may_keep_all_that_was_under_way() -> None:
    assert Bounds.under(500_000).most > 2 * 38 * 500_000 + Bounds().full


def test_the_desk_costs_no_descriptor_more_after_many_clients(door: Door) -> None:
    gc.collect()
    before = open_count()
    for _ in range(30):
        end = door.knock()
        end.send(encode(Hello(VERSION, "ops")))
        door.read()
        end.close()
        door.read()
        door.read()
    assert open_count() == before


VISITOR = """
import os, socket, sys
address, hello, *groups = sys.argv[1:]
one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
os.setgroups([int(group) for group in groups])
os.setresgid(7, 7, 7)
os.setresuid(7, 7, 7)
one.connect("\\0" + address)
one.send(bytes.fromhex(hello))
sys.stdout.buffer.write(one.recv(4096))
"""


SETGID, SETUID = 6, 7  # capabilities(7)
MEMBERSHIPS = [((1, 54321), True), (range(54_000, 55_000), True), ((1, 54322), False), ((), False)]


@pytest.mark.skipif(not {SETGID, SETUID} <= effective(), reason="needs the right to be somebody else (root)")
@pytest.mark.parametrize(("groups", "may"), MEMBERSHIPS)
def test_a_group_that_is_not_his_first_one_counts_too(groups: Sequence[int], may: bool) -> None:
    address = f"amon-test-{os.getpid()}"
    door = Door(f"\0{address}")
    door.desk.reload([Account("ops", gids=frozenset({54321}))])
    hello = encode(Hello(VERSION, "ops"))
    words = [sys.executable, "-c", VISITOR, address, hello.hex(), *map(str, groups)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as visitor:
        while visitor.poll() is None:
            select.select([door.desk.fileno()], [], [], 0.1)
            for said in door.read():
                if isinstance(said.order, Hello):
                    door.desk.send(said.client, Refused(f"welcome, uid {said.client.peer.uid}"))
        assert visitor.stdout is not None
        answer = visitor.stdout.read()
    door.close()
    assert (b"welcome, uid 7" if may else b"user 7 may not speak for tenant 'ops'") in answer
