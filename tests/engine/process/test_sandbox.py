"""The unit's sandbox against what the engine does: every system call and address family it uses is one the unit allows.

Seen by strace(1) on an engine with every kind of way, in a network namespace of its own. Source: systemd.exec(5),
SystemCallFilter= and RestrictAddressFamilies=.
"""

import asyncio
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from amon.engine.asking.client import Times, connect
from amon.engine.messages import Ended, Spec
from tests.e2e.world import Notices
from tests.engine.process.test_process import PROGRAM, ROOT

NEEDED = ("strace", "systemd-analyze", "unshare", "ip")
MISSING = [name for name in NEEDED if shutil.which(name) is None]
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0 or bool(MISSING), reason=f"needs root and {', '.join(NEEDED)}"),
]
NETWORK = """
ip link set lo up && ip link add amon-a type veth peer name amon-b && ip address add 10.9.0.1/24 dev amon-a &&
ip link set amon-a up && ip link set amon-b up &&
ip neighbour replace 10.9.0.2 lladdr 02:00:00:00:00:02 dev amon-a nud permanent && exec "$@"
"""
TEXT = """
socket = "$HERE/socket"
interfaces = ["amon-a"]
dedicated = true
lock_memory = true
[tenants.ops]
allow = ["127.0.0.0/8", "10.9.0.0/24"]
"""


def of_unit(key: str) -> list[str]:
    unit = (ROOT / "amon" / "engine" / "program" / "amon-engine.service").read_text()
    return [word for line in re.findall(rf"^{key}=(.*)$", unit, re.MULTILINE) for word in line.split()]


def allowed() -> set[str]:
    """All calls that the unit's words stand for."""
    said = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True, timeout=30).stdout
    groups: dict[str, list[str]] = {}
    for block in said.split("\n@"):
        name, *lines = block.splitlines()
        groups["@" + name.strip().lstrip("@")] = [line.strip() for line in lines if line.startswith("    ")]

    def expand(word: str) -> set[str]:
        return {one for inner in groups[word] for one in expand(inner)} if word.startswith("@") else {word}

    return {one for word in ("@default", *of_unit("SystemCallFilter")) for one in expand(word)}


async def traced(folder: Path) -> str:
    """What an engine asks the kernel for from its first to its last moment, through a job, a capture and a reload."""
    (folder / "engine.toml").write_text(TEXT.replace("$HERE", str(folder)))
    notices, trace = Notices(folder / "notify"), folder / "trace"
    words = ["unshare", "--net", "sh", "-c", NETWORK, "sh", "strace", "-f", "-qq", "-o", str(trace), *PROGRAM, "run"]
    engine = await asyncio.create_subprocess_exec(
        *words, "--config", str(folder / "engine.toml"), stderr=asyncio.subprocess.PIPE, cwd=ROOT,
        env={**os.environ, "NOTIFY_SOCKET": str(notices.path), "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        ready = await notices.wait("READY=1", within=40)
        assert "amon-a: xdp" in ready
        (child,) = psutil.Process(engine.pid).children()
        await used(folder)
        child.send_signal(signal.SIGHUP)
        await notices.wait("reloaded")
        child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            _, said = await engine.communicate()
        assert engine.returncode == 0, said
    finally:
        notices.close()
        if engine.returncode is None:
            for child in psutil.Process(engine.pid).children(recursive=True):
                child.kill()
            engine.kill()
            await engine.communicate()
    return trace.read_text()


async def used(folder: Path) -> None:
    async with connect(folder / "socket", "ops", times=Times(answer=20)) as engine:
        with (folder / "pcap").open("wb") as out:
            enough = asyncio.Event()
            capturing = asyncio.create_task(engine.capture(out.fileno(), until=enough))
            job = await engine.begin(Spec(rounds=2, interval=0.2, timeout=0.3), ["127.0.0.1", "10.9.0.2"])
            ends = [report async for report in job]
            assert isinstance(ends[-1], Ended)
            assert ends[-1].tally.sent == 4
            enough.set()
            assert (await capturing).packets > 0


async def test_the_unit_allows_all_that_the_engine_does(tmp_path: Path) -> None:
    trace = await traced(tmp_path)
    calls = set(re.findall(r"^\d+ +([a-z_0-9]+)\(", trace, re.MULTILINE))
    assert {"bpf", "sendmmsg", "capset", "landlock_restrict_self"} <= calls
    assert calls - allowed() == set()
    families = set(re.findall(r"\bsocket\((AF_[A-Z0-9]+)", trace))
    assert {"AF_XDP", "AF_PACKET", "AF_NETLINK"} <= families
    assert families - set(of_unit("RestrictAddressFamilies")) == set()
    # MemoryDenyWriteExecute=
    assert not re.search(r"PROT_WRITE\|PROT_EXEC|mprotect\([^)]*PROT_EXEC", trace)
