"""What others make of a capture: tcpdump and tshark, and a disk that is really full."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from amon.engine.messages import Capture as Order
from tests.engine.capturing import ECHO, ECHO6, REPLY, Running, open_new, packet


def read_by(path: Path, *argv: str) -> list[str]:
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not installed")
    words = [word.replace("FILE", str(path)) for word in argv]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=50, check=True, env={**os.environ, "TZ": "UTC"}
    )
    return done.stdout.splitlines()


@pytest.fixture
async def written(tmp_path: Path) -> Path:
    path = tmp_path / "amon.pcap"
    running = Running(open_new(path), Order(1))
    running.send(ECHO, ECHO6)
    running.hear(REPLY, packet("203.0.113.1", "192.0.2.1", 11, ECHO), stamps=[123_456_789, 123_456_790])
    assert (await running.stopped()).packets == 4
    return path


def test_tcpdump_reads_it(written: Path) -> None:
    lines = read_by(written, "tcpdump", "-nn", "-tt", "-vv", "--time-stamp-precision=nano", "-r", "FILE")
    text = "\n".join(lines)
    assert "1700000000.123456789 IP" in text
    assert "192.0.2.1 > 198.51.100.7: ICMP echo request, id 0, seq 1" in text
    assert "2001:db8::1 > 2001:db8:f::7: [icmp6 sum ok] ICMP6, echo request" in text
    assert "203.0.113.1 > 192.0.2.1: ICMP time exceeded in-transit" in text
    assert "bad" not in text
    assert "wrong" not in text


def test_tshark_reads_it(written: Path) -> None:
    fields = ("frame.time_epoch", "frame.protocols", "icmp.checksum.status", "icmp.type", "icmpv6.type")
    lines = read_by(written, "tshark", "-r", "FILE", "-T", "fields", *(word for one in fields for word in ("-e", one)))
    cells = [line.split("\t") for line in lines]
    assert [cell[0] for cell in cells] == [
        "1700000000.000000000",
        "1700000000.000000001",
        "1700000000.123456789",
        "1700000000.123456790",
    ]
    assert cells[0][1].startswith("raw:ip:icmp")
    assert cells[1][1].startswith("raw:ipv6:icmpv6")
    assert [cell[3] for cell in cells] == ["8", "", "0", "11,8"]
    assert [cell[4] for cell in cells] == ["", "128", "", ""]


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts, so it needs root")
def test_a_disk_that_fills_up_ends_it_with_exact_counts(tmp_path: Path) -> None:
    lines = (
        "import asyncio, os, sys",
        "from pathlib import Path",
        "from tests.engine.capturing import ECHO, Order, Running, read",
        "path = Path(sys.argv[1], 'amon.pcap')",
        "running = Running(os.open(path, os.O_WRONLY | os.O_CREAT), Order(1), queue=1 << 24)",
        "for _ in range(100): running.send(*[ECHO] * 500)",
        "done = asyncio.run(running.stopped())",
        "assert done.text == 'the disk is full', done",
        "assert done.packets + done.left_out == 50_000, done",
        "assert done.packets == len(list(read(path))) > 0, done",
        "assert done.bytes == path.stat().st_size, done",
        "print('played')",
    )
    mount = 'mount -t tmpfs -o size=200k none "$2" && exec "$0" -c "$1" "$2"'
    argv = ["unshare", "-m", "sh", "-c", mount, sys.executable, "\n".join(lines), str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "played\n"
