"""`amon-engine ping`: the whole engine in one program, on the loopback of a network namespace of its own."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = [sys.executable, "-c", "import sys; from amon.engine.program.cli import main; sys.exit(main())"]


@cache
def apart() -> tuple[str, ...]:
    """Words that run what follows in a network of its own, where `lo` is up; empty where that cannot be had."""
    users = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    script = 'ip link set lo up && sysctl -qw net.ipv4.ping_group_range="0 0" && exec "$@"'
    words = ("unshare", *users, "--net", "sh", "-c", script, "sh")
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return ()
    return (
        words if subprocess.run([*words, "true"], capture_output=True, timeout=20, check=False).returncode == 0 else ()
    )


def ping(*argv: str, words: tuple[str, ...] = (), inherits: tuple[int, ...] = ()) -> "subprocess.CompletedProcess[str]":
    if not apart():
        pytest.skip("no network namespaces: neither root nor user namespaces, or no iproute2")
    whole = [*apart(), *words, *PROGRAM, "ping", "-i", "0.05", "-W", "0.5", *argv]
    return subprocess.run(whole, capture_output=True, text=True, timeout=50, cwd=ROOT, check=False, pass_fds=inherits)


@pytest.mark.lab
@pytest.mark.parametrize("way", ["raw", "ping"])
def test_both_families_are_answered(way: str) -> None:
    done = ping("127.0.0.1", "::1", "-c", "3", "--way", way)
    assert (done.returncode, done.stderr) == (0, "")
    assert "127.0.0.1: 3 sent, 3 answered; rtt " in done.stdout
    assert "::1: 3 sent, 3 answered; rtt " in done.stdout
    assert "::1 2: answered from ::1, " in done.stdout


@pytest.mark.lab
def test_what_is_not_answered_is_said_and_ends_with_1() -> None:
    done = ping("127.0.0.1", "192.0.2.1", "-c", "2", "--json", "--way", "raw")
    assert done.returncode == 1
    summary = {one["target"]: one for one in map(json.loads, done.stdout.splitlines()) if "ends" in one}
    assert summary["127.0.0.1"]["ends"] == {"answered": 2}
    assert summary["192.0.2.1"]["ends"] == {"unsent": 2}
    assert summary["192.0.2.1"]["drops"] == {}


@pytest.mark.lab
@pytest.mark.parametrize("way", ["raw", "ping"])
def test_what_is_too_large_for_the_interface_is_not_sent_and_no_drop_of_this_host(way: str) -> None:
    smaller = ("sh", "-c", 'ip link set lo mtu 600 && exec "$@"', "sh")
    done = ping("127.0.0.1", "-c", "2", "-D", "-s", "1000", "--way", way, words=smaller)
    assert done.returncode == 1
    assert "127.0.0.1: 0 sent, 2 unsent\nrouted: not sent: " in done.stdout
    assert done.stdout.endswith("the packet is larger than the interface takes (MTU)\n")


@pytest.mark.lab
def test_what_may_never_be_probed_is_not_probed_here_either() -> None:
    done = ping("127.0.0.1", "224.0.0.1", "-c", "1")
    assert done.returncode == 1
    assert "224.0.0.1: not probed: is multicast" in done.stdout
    assert "127.0.0.1: 1 sent, 1 answered" in done.stdout


@pytest.mark.lab
def test_a_ctrl_c_ends_it_with_the_summary(tmp_path: Path) -> None:
    if not apart():
        pytest.skip("no network namespaces: neither root nor user namespaces, or no iproute2")
    words = [*apart(), *PROGRAM, "ping", "-i", "0.05", "-c", "0", "127.0.0.1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as program:
        assert program.stdout is not None
        assert "answered" in program.stdout.readline()
        program.send_signal(signal.SIGINT)
        said, complaint = program.communicate(timeout=20)
    assert (program.returncode, complaint) == (0, "")
    assert "answered; rtt" in said.splitlines()[-1]


@pytest.mark.lab
def test_its_packets_go_into_a_file_that_tcpdump_reads(tmp_path: Path) -> None:
    path = tmp_path / "out.pcap"
    done = ping("127.0.0.1", "-c", "3", "-q", "--pcap", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    if shutil.which("tcpdump") is None:
        pytest.skip("tcpdump is not installed")
    read = subprocess.run(["tcpdump", "-nr", str(path)], capture_output=True, text=True, timeout=20, check=False)
    assert read.stdout.count("ICMP echo request") == 3
    assert read.stdout.count("ICMP echo reply") == 3


@pytest.mark.lab
def test_a_file_that_cannot_be_written_is_told() -> None:
    done = ping("127.0.0.1", "-c", "1", "--pcap", "/proc/none/x")
    assert done.returncode == 2
    assert done.stderr == "amon-engine ping: /proc/none/x: cannot be written: No such file or directory\n"
    assert "127.0.0.1: 1 sent, 1 answered; rtt " in done.stdout


@pytest.mark.lab
def test_a_full_disk_is_told_and_the_results_are_shown() -> None:
    done = ping("127.0.0.1", "-c", "3", "--pcap", "/dev/full")
    assert done.returncode == 2
    assert "amon-engine ping: /dev/full: lacks packets: the disk is full" in done.stderr
    assert "127.0.0.1: 3 sent, 3 answered; rtt " in done.stdout


@pytest.mark.lab
def test_a_fifo_that_nobody_reads_is_told_and_no_reason_to_wait(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    done = ping("127.0.0.1", "-c", "1", "--pcap", str(path))
    assert done.returncode == 2
    assert done.stderr == f"amon-engine ping: {path}: cannot be written: nobody reads it\n"
    assert "127.0.0.1: 1 sent, 1 answered; rtt " in done.stdout


@contextmanager
def opened(ends: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Two descriptors, for as long as the block lasts."""
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


@pytest.mark.lab
def test_a_pipe_that_is_not_read_does_not_keep_it_from_its_end() -> None:
    with opened(os.pipe()) as (_, writer):
        os.write(writer, bytes(fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ)))
        done = ping("127.0.0.1", "-c", "2", "--pcap", f"/proc/self/fd/{writer}", inherits=(writer,))
    assert done.returncode == 2
    assert "lacks packets: its reader takes nothing; 4 are left out" in done.stderr
    assert "127.0.0.1: 2 sent, 2 answered; rtt " in done.stdout


@pytest.mark.lab
def test_a_terminal_gets_no_packets() -> None:
    with opened(os.openpty()) as (_, theirs):
        done = ping("127.0.0.1", "-c", "1", "--pcap", f"/proc/self/fd/{theirs}", inherits=(theirs,))
    assert done.returncode == 2
    assert "lacks packets: a capture goes into a file or a pipe" in done.stderr


@pytest.mark.lab
def test_without_a_way_it_says_what_is_missing() -> None:
    if not apart():
        pytest.skip("no network namespaces: neither root nor user namespaces, or no iproute2")
    nothing = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    script = 'sysctl -qw net.ipv4.ping_group_range="1 0" && exec "$@"'
    words = [*apart(), "sh", "-c", script, "sh", *nothing, *PROGRAM, "ping", "127.0.0.1"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=50, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert "no way to the network" in done.stderr
    assert "CAP_NET_RAW" in done.stderr
    assert "ping_group_range" in done.stderr


def test_a_name_that_is_none_is_told() -> None:
    words = [*PROGRAM, "ping", "no such name"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=50, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("amon-engine ping: 'no such name': ")


VETH = "ip link add amon-a type veth peer name amon-b && ip link set amon-a up && ip link set amon-b up && exec "


@pytest.mark.lab
@pytest.mark.parametrize(("more", "way"), [("", "xsk+ring"), ("dedicated = true\n", "xdp")])
def test_check_finds_the_way_that_the_engine_would_take(tmp_path: Path, more: str, way: str) -> None:
    if not apart() or os.geteuid() != 0:
        pytest.skip("needs root and iproute2")
    path = tmp_path / "engine.toml"
    path.write_text(f'socket = "{tmp_path}/socket"\ninterfaces = ["amon-a"]\n{more}[tenants.ops]\n')
    words = [*apart(), "sh", "-c", VETH + '"$@"', "sh", *PROGRAM, "check", "--json", "--config", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=50, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout
    told = json.loads(done.stdout)["ways"]
    assert (told["amon-a"]["way"], told["routed"]["way"]) == (way, "raw")
    assert [note.partition(":")[0] for note in told["amon-a"]["notes"]] == (["xdp"] if way != "xdp" else [])
