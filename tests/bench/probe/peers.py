"""What others need for the same: fping, zmap, masscan, trafgen, scamper as Debian has them, each in its fastest form.

How much each sent and what it recorded is its own word. Sources: their man pages.
"""

import ipaddress
import json
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.probe.grounds import Chain, Ground
from tests.bench.probe.timed import Run, finish

FPING_MOST = 60_000
"""It numbers its pings by 16 bits, and keeps each for 10 s: past 65,535 it ends."""
SCAMPER_MOST = 10_000
"""Packets per second that it may be told at most."""
_FIRST = int(ipaddress.ip_address("10.64.0.0"))


class Missing(Exception):
    """A peer is not installed."""


def addresses(count: int) -> list[str]:
    return [str(ipaddress.ip_address(_FIRST + number)) for number in range(count)]


def fping(ground: Ground, count: int) -> Run:
    count = min(count, FPING_MOST)
    with _list(addresses(count)) as name:
        argv = [_found("fping"), "-q", "-i", "0.001", "-c1", "-t500", "-f", name]
        ended = finish(ground.space, argv, 30)
    return Run(count, ended.said.count("= 1/1/0%"), ended.seconds, ended.cpu)


def zmap(ground: Ground, count: int) -> Run:
    with tempfile.NamedTemporaryFile() as found:
        argv = [
            _found("zmap"), "-M", "icmp_echoscan", "-i", ground.interface, "-G", ground.gateway, "-S", "10.99.0.1",
            "-T", "1", "--cores=0", "-r", "0", "-c", "1", "-n", str(count), "-b", "/dev/null", "-o", found.name,
            "-q", "10.64.0.0/12",
        ]  # fmt: skip
        ended = finish(ground.space, argv, 60)
        return Run(count, _lines(found.name), ended.seconds, ended.cpu)


def masscan(ground: Ground, count: int) -> Run:
    """A whole network, the next one above `count`. It may not end by itself."""
    bits = (count - 1).bit_length()
    with tempfile.NamedTemporaryFile() as found:
        argv = [
            _found("masscan"), "--ping", f"10.64.0.0/{32 - bits}", "--rate", "1000000", "--wait", "1",
            "-e", ground.interface, "--router-mac", ground.gateway.replace(":", "-"), "--source-ip", "10.99.0.1",
            "--source-mac", ground.mac.replace(":", "-"), "-oL", found.name,
        ]  # fmt: skip
        ended = finish(ground.space, argv, 30)
        recorded = Path(found.name).read_text().count("open icmp")
        return Run(1 << bits, recorded, ended.seconds, ended.cpu)


def trafgen(ground: Ground, count: int) -> Run:
    """One packet again and again from a mapped ring; it has no receive path."""
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as made:
        made.write("{ " + ", ".join(f"0x{byte:02x}" for byte in _frame(ground)) + " }\n")
        made.flush()
        argv = [_found("trafgen"), "-c", made.name, "-o", ground.interface, "-P", "1", "-n", str(count), "-q"]
        ended = finish(ground.space, argv, 60)
    sent = re.search(r"(\d+) packets outgoing", ended.said)
    spent = re.search(r"(\d+) sec, (\d+) usec on CPU", ended.said)
    if sent is None or spent is None:
        raise RuntimeError(f"trafgen said: {ended.said[-300:]}")
    return Run(int(sent[1]), 0, int(spent[1]) + int(spent[2]) / 1e6, ended.cpu)


def scamper(chain: Chain, count: int) -> Run:
    """Traces to so many addresses. mismatched: hops that are not the router at that TTL."""
    with _list(addresses(count)) as name, tempfile.NamedTemporaryFile() as found:
        argv = [
            _found("scamper"), "-p", str(SCAMPER_MOST), "-O", "json", "-o", found.name, "-w", "0",
            "-c", "trace -P icmp-paris -q 1 -w 1 -m 8", "-f", name,
        ]  # fmt: skip
        ended = finish(chain.ground.space, argv, 60)
        traces = [json.loads(line) for line in Path(found.name).read_text().splitlines()]
    hops = [hop for trace in traces if trace.get("type") == "trace" for hop in trace.get("hops", ())]
    right = dict(enumerate(chain.routers[4], 1))
    wrong = sum(hop["addr"] != right.get(hop["probe_ttl"], hop["addr"]) for hop in hops)
    sent = sum(trace.get("probe_count", 0) for trace in traces if trace.get("type") == "trace")
    return Run(sent, len(hops), ended.seconds, ended.cpu, wrong)


PEERS: dict[str, Callable[[Ground, int], Run]] = {"fping": fping, "zmap": zmap, "masscan": masscan}


def _found(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        raise Missing(f"{name} is not installed; next: make bench-probe, which installs it")
    return path


def version(name: str) -> str:
    """As Debian counts it."""
    package = {"trafgen": "netsniff-ng"}.get(name, name)
    argv = ["dpkg-query", "-W", "-f", "${Version}", package]
    return subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False).stdout


@contextmanager
def _list(rows: Iterable[str]) -> Iterator[str]:
    """A file of them; its name."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as made:
        made.write("\n".join(rows) + "\n")
        made.flush()
        yield made.name


def _lines(name: str) -> int:
    return Path(name).read_bytes().count(b"\n")


def _frame(ground: Ground) -> bytes:
    """An echo request with 56 bytes of payload, as ours."""
    macs = bytes.fromhex((ground.gateway + ground.mac).replace(":", ""))
    source, target = ipaddress.ip_address("10.99.0.1").packed, ipaddress.ip_address("10.64.0.1").packed
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 84, 1, 0, 64, 1, 0, source, target)
    echo = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + bytes(56)
    return macs + b"\x08\0" + _summed(head, 10) + _summed(echo, 2)


def _summed(data: bytes, at: int) -> bytes:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return data[:at] + struct.pack("!H", (total + (total >> 16)) & 0xFFFF ^ 0xFFFF) + data[at + 2 :]
