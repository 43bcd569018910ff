"""Where AF_XDP cannot be had, the refusal says why and what to do; and nothing of it stays at the interface."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from amon.engine.shapes import WayRefused
from amon.engine.ways.xdp import open_xdp
from tests.engine.ways.xdp_scene import IDENT, Scene, load, request, scene
from tests.lab.namespaces import needs_root
from tests.lab.responder import inside, responder
from tests.waiting import until

ROOT = Path(__file__).parents[3]
OPEN = """
import sys
from amon.engine.shapes import WayRefused
from amon.engine.ways.xdp import open_xdp
try:
    ends = open_xdp("near", 7, receive=sys.argv[1] == "both", received=512, frames=64)
except WayRefused as refused:
    print(refused)
else:
    print("open", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def lab() -> Iterator[Scene]:
    with scene() as made:
        yield made


def test_an_interface_that_is_not_there_is_refused() -> None:
    with pytest.raises(WayRefused, match="interface amon-none: there is none of this name"):
        open_xdp("amon-none", IDENT)


def test_an_interface_without_ethernet_is_refused() -> None:
    with pytest.raises(WayRefused, match="interface lo: no Ethernet: use a raw socket"):
        open_xdp("lo", IDENT)


@pytest.mark.lab
@needs_root
def test_a_queue_in_use_is_refused(lab: Scene) -> None:
    ends = lab.open()
    with pytest.raises(WayRefused, match="queue 0 of near: another AF_XDP socket is there: end its program"):
        lab.open()
    for end in ends:
        end.close()


@pytest.mark.lab
@needs_root
def test_a_queue_that_is_not_there_is_refused(lab: Scene) -> None:
    with inside(lab.near.space.name), pytest.raises(WayRefused, match="queue 5 of near: no such queue"):
        open_xdp("near", IDENT, queue=5, receive=False)


@pytest.mark.lab
@needs_root
@pytest.mark.parametrize("mode", [1 << 1, 1 << 2], ids=["generic", "native"])
def test_another_program_at_the_interface_is_refused_and_stays(lab: Scene, mode: int) -> None:
    with responder("near", lab.near.space.name, mode):
        with pytest.raises(WayRefused, match="interface near: another XDP program is there: detach it"):
            lab.open()
        assert "xdp" in said(lab)


@pytest.mark.lab
@needs_root
def test_only_to_send_no_program_is_put_there(lab: Scene) -> None:
    with inside(lab.near.space.name):
        transmitter, receiver = open_xdp("near", IDENT, receive=False)
    assert receiver is None
    assert "xdp" not in said(lab)
    assert transmitter.publish(load(transmitter, [lab.frame(request(4, 1).packet())])).sent == 1
    transmitter.close()


@pytest.mark.lab
@needs_root
@pytest.mark.parametrize("mode", ["generic", "native"])
def test_the_program_is_gone_behind_close(lab: Scene, mode: str) -> None:
    transmitter, receiver = lab.open(modes=(mode,))
    assert "xdp" in said(lab)
    transmitter.close()
    assert "xdp" in said(lab)
    receiver.close()
    assert "xdp" not in said(lab)


@pytest.mark.lab
@needs_root
async def test_the_program_is_gone_behind_a_process_that_was_killed(lab: Scene) -> None:
    with child(lab, (), "both") as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "open\n"
        assert "xdp" in said(lab)
        running.send_signal(signal.SIGKILL)
        await until(lambda: "xdp" not in said(lab))
    await until(lambda: can_be_opened(lab))


@pytest.mark.lab
@needs_root
async def test_the_queue_is_free_again_behind_close(lab: Scene) -> None:
    for end in lab.open():
        end.close()
    await until(lambda: can_be_opened(lab))


def can_be_opened(lab: Scene) -> bool:
    try:
        ends = lab.open()
    except WayRefused:
        return False
    for end in ends:
        end.close()
    return True


RIGHTS = pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv of util-linux")
LACKING = {
    "CAP_NET_RAW": ("-net_raw", "send", "AF_XDP sockets: no right: needs CAP_NET_RAW"),
    "CAP_BPF": ("-bpf,-sys_admin", "both", "XDP programs: no right: needs CAP_BPF"),
    "CAP_NET_ADMIN": ("-net_admin,-sys_admin", "both", "XDP programs: no right: needs CAP_NET_ADMIN"),
}


@pytest.mark.lab
@needs_root
@RIGHTS
@pytest.mark.parametrize(("rights", "what", "text"), LACKING.values(), ids=LACKING)
def test_a_missing_right_is_named(lab: Scene, rights: str, what: str, text: str) -> None:
    with child(lab, ("setpriv", f"--bounding-set={rights}", "--inh-caps=-all"), what) as running:
        assert text in outcome(running)
    assert "xdp" not in said(lab)


@pytest.mark.lab
@needs_root
@RIGHTS
@pytest.mark.parametrize(
    ("rights", "what"),
    [("+net_raw,+ipc_lock", "send"), ("+net_raw,+ipc_lock,+bpf,+net_admin", "both")],
    ids=["to send", "to receive"],
)
def test_these_rights_are_enough(lab: Scene, rights: str, what: str) -> None:
    with child(lab, ("setpriv", f"--bounding-set=-all,{rights}", "--inh-caps=-all"), what) as running:
        assert outcome(running) == "open\n"


@pytest.mark.lab
@needs_root
@RIGHTS
def test_too_little_memory_that_may_be_locked_is_told(lab: Scene) -> None:
    few = ("setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-all", "prlimit", "--memlock=65536:65536")
    with child(lab, few, "both") as running:
        assert "queue 0 of near: 1 MiB may not be locked: needs LimitMEMLOCK=" in outcome(running)


def child(lab: Scene, before: Sequence[str], what: str) -> "subprocess.Popen[str]":
    words = [*lab.near.space.words, *before, sys.executable, "-c", OPEN, what]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def outcome(running: "subprocess.Popen[str]") -> str:
    said, _ = running.communicate(timeout=30)
    return said


def said(lab: Scene) -> str:
    """What ip(8) says of the near end."""
    words = ["ip", "-n", lab.near.space.name, "link", "show", "near"]
    return subprocess.run(words, capture_output=True, text=True, timeout=10, check=True).stdout
