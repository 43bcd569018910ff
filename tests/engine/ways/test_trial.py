"""Which way is had: by the kind of interface, the rights there are, what seccomp refuses, what is asked for."""

import ctypes
import errno
import os
import platform
import struct
import sys
from pathlib import Path

import pytest

from amon.engine.linux.classic import assemble
from amon.engine.shapes import WayRefused
from amon.engine.ways.rights import refusal
from amon.engine.ways.trial import WAYS, Ways, open_ways
from tests.engine.netns import ip, play
from tests.engine.ways.alone import IDENT, OWN, Taken, alone, cabled, drop_rights, opened, request, send

AF_PACKET, AF_XDP = 17, 44
SYSTEM_CALLS = {"x86_64": {"socket": 41, "bpf": 321}, "aarch64": {"socket": 198, "bpf": 280}}
"""linux/audit.h, asm/unistd.h"""


def forbid(call: str, first: int | None = None, error: int = errno.EPERM) -> None:
    """seccomp(2): from here on this process gets that error for the call, or for it with this first argument."""
    lines: list[tuple[str, int] | tuple[str, int, str] | str] = [
        ("ld", 0), ("equal", SYSTEM_CALLS[platform.machine()][call], "it"), ("return", 0x7FFF0000), "it",
    ]  # fmt: skip
    if first is not None:
        lines += [("ld", 16), ("equal", first, "that"), ("return", 0x7FFF0000), "that"]
    program = assemble([*lines, ("return", 0x00050000 | error)])
    code = ctypes.create_string_buffer(program, len(program))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    assert libc.prctl(22, 2, fprog) == 0, os.strerror(ctypes.get_errno())  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


def _answers(ways: Ways, family: int) -> None:
    taken = Taken(ways.receivers)
    assert send(ways.transmitters[family], [request(family, slot) for slot in range(50)]).sent == 50
    taken.take_all(50)


@alone
def test_a_cable_gets_the_best_way_that_puts_nothing_on_the_interface() -> None:
    with cabled(), opened(open_ways("near", "auto", IDENT)) as ways:
        assert ways.name in ("xsk+ring", "packet+ring")
        assert all(note.startswith("xsk+ring: ") for note in ways.notes)
        for family in (4, 6):
            _answers(ways, family)


@alone
def test_each_way_can_be_asked_for() -> None:
    with cabled():
        for name in ("packet+ring", "raw", "ping"):
            with opened(open_ways("near", name, IDENT)) as ways:
                assert (ways.name, ways.transmitters[4].family in (0, 4)) == (name, True)
                for family in (4, 6):
                    _answers(ways, family)


@alone
def test_an_interface_without_link_addresses_gets_raw_sockets_and_the_notes_say_why() -> None:
    ip("link set lo up")
    with opened(open_ways("lo", "auto", IDENT, dedicated=True)) as ways:
        assert ways.name == "raw"
        assert [note.partition(": ")[0] for note in ways.notes[:3]] == ["xdp", "xsk+ring", "packet+ring"]
        assert all("no Ethernet addresses" in note for note in ways.notes[:3])
        for family in (4, 6):
            taken = Taken(ways.receivers)
            assert send(ways.transmitters[family], [request(family, 1, target=OWN[family])]).sent == 1
            taken.take_all(1)


@alone
def test_without_an_interface_the_system_routes() -> None:
    with cabled(), opened(open_ways(None, "auto", IDENT)) as ways:
        assert ways.name == "raw"
        assert "packet+ring: needs the name of an interface: give one in the configuration" in ways.notes
        _answers(ways, 4)


@alone
def test_without_rights_icmp_sockets_are_left() -> None:
    with cabled():
        drop_rights()
        with opened(open_ways("near", "auto", IDENT, dedicated=True)) as ways:
            assert ways.name == "ping"
            said = "\n".join(ways.notes)
            assert "packet+ring: packet sockets: no right: needs CAP_NET_RAW (AmbientCapabilities= in the unit" in said
            assert "raw: raw IPv4 sockets: no right: needs CAP_NET_RAW" in said
            for family in (4, 6):
                _answers(ways, family)


@alone
def test_without_any_right_at_all_each_way_says_what_it_lacks() -> None:
    drop_rights()
    with pytest.raises(WayRefused) as refused:
        open_ways(None, "auto", IDENT)
    assert "raw: raw IPv4 sockets: no right: needs CAP_NET_RAW" in str(refused.value)
    assert "ping: ICMP sockets: group 0 is not in net.ipv4.ping_group_range" in str(refused.value)


@alone
def test_where_seccomp_refuses_packet_sockets_raw_ones_are_left_and_it_is_said() -> None:
    with cabled():
        forbid("socket", AF_PACKET)
        with opened(open_ways("near", "auto", IDENT)) as ways:
            assert ways.name == "raw"
            (note,) = [note for note in ways.notes if note.startswith("packet+ring: ")]
            assert "packet sockets: refused although CAP_NET_RAW is there: by a seccomp filter" in note
            assert "SystemCallFilter=" in note
            _answers(ways, 4)


@alone
def test_where_seccomp_hides_xdp_sockets_packet_sockets_are_left_and_it_is_said() -> None:
    with cabled():
        forbid("socket", AF_XDP, errno.EAFNOSUPPORT)
        with opened(open_ways("near", "auto", IDENT)) as ways:
            assert ways.name == "packet+ring"
            assert len(ways.notes) == 1
            assert ways.notes[0].startswith("xsk+ring: ")
            _answers(ways, 6)


@alone
def test_a_small_receive_buffer_is_told_with_what_to_do() -> None:
    with cabled():
        drop_net_admin()
        with opened(open_ways(None, "raw", IDENT)) as ways:
            notes = [note for note in ways.notes if "receive buffer of" in note]
            assert len(notes) == 2 or int(Path("/proc/sys/net/core/rmem_max").read_text()) >= 2 * 1024 * 1024
            assert all("net.core.rmem_max" in note for note in notes)


def drop_net_admin() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    head = struct.pack("=Ii", 0x20080522, 0)
    raw = 1 << 13
    assert libc.capset(head, struct.pack("=6I", raw, raw, 0, 0, 0, 0)) == 0, os.strerror(ctypes.get_errno())


def test_a_way_that_there_is_not_is_refused_with_those_there_are() -> None:
    with pytest.raises(WayRefused, match="no way named 'dpdk': auto, xdp"):
        open_ways(None, "dpdk", IDENT)


@alone
def test_an_interface_that_there_is_not_is_named_by_every_way() -> None:
    for name in WAYS:
        with pytest.raises(WayRefused, match="interface nowhere: No such device"):
            open_ways("nowhere", name, IDENT)


@alone
def test_what_was_opened_of_a_refused_way_is_closed() -> None:
    """A ring is opened before its transmitter; where that is refused, it must not go on taking packets."""
    with cabled():
        forbid("socket", AF_XDP)
        before = len(list(Path("/proc/self/fd").iterdir()))
        with pytest.raises(WayRefused):
            open_ways("near", "xsk+ring", IDENT)
        assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="attaches programs, so it needs root")
def test_where_seccomp_refuses_bpf_a_dedicated_host_falls_to_the_ring_and_it_is_said() -> None:
    play(scene_bpf_refused)


async def scene_bpf_refused() -> None:
    with cabled():
        with opened(open_ways("near", "auto", IDENT, dedicated=True)) as ways:
            assert ways.name == "xdp"
            _answers(ways, 4)
        forbid("bpf")
        with opened(open_ways("near", "auto", IDENT, dedicated=True)) as ways:
            assert ways.name == "xsk+ring"
            assert ways.notes[0].startswith("xdp: ")
            assert "seccomp" in ways.notes[0]
            _answers(ways, 4)


def _status(tmp_path: Path, capabilities: int, seccomp: int) -> Path:
    path = tmp_path / "status"
    path.write_text(f"Name:\tx\nCapEff:\t{capabilities:016x}\nSeccomp:\t{seccomp}\n")
    return path


def test_a_refusal_is_told_also_where_no_file_can_be_read(tmp_path: Path) -> None:
    error = OSError(errno.EPERM, os.strerror(errno.EPERM))
    assert refusal("it", error, "CAP_NET_RAW", tmp_path / "gone").startswith("it: no right: needs CAP_NET_RAW")


@pytest.mark.parametrize(
    ("number", "capabilities", "seccomp", "said"),
    [
        (errno.EPERM, 0, 0, "it: no right: needs CAP_NET_RAW"),
        (errno.EPERM, 0, 2, "it: no right: needs CAP_NET_RAW"),
        (errno.EPERM, 1 << 13, 2, "it: refused although CAP_NET_RAW is there: by a seccomp filter"),
        (errno.EPERM, 1 << 13, 0, "a security module, or a network namespace that is not ours"),
        (errno.EAFNOSUPPORT, 1 << 13, 2, "this kernel lacks it, or a seccomp filter hides it"),
        (errno.EAFNOSUPPORT, 1 << 13, 0, "this kernel lacks it"),
        (errno.ENOBUFS, 1 << 13, 0, "it: No buffer space available"),
    ],
)
def test_a_refusal_says_who_refused_as_far_as_it_can_be_known(
    tmp_path: Path, number: int, capabilities: int, seccomp: int, said: str
) -> None:
    error = OSError(number, os.strerror(number))
    assert said in refusal("it", error, "CAP_NET_RAW", _status(tmp_path, capabilities, seccomp))
