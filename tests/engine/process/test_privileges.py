"""Giving up rights: in programs of their own, as root of a user namespace where we are nobody."""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from amon.engine.program import privileges

ROOT = Path(__file__).parents[3]
UNSHARE = ("unshare", "--user", "--map-root-user")


@cache
def may_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, timeout=20, check=False).returncode == 0


def run(code: str) -> str:
    """What it prints, with all capabilities at its start."""
    rooted = [] if {privileges.NET_RAW, privileges.NET_ADMIN} <= privileges.effective() else list(UNSHARE)
    if rooted and not may_unshare():
        pytest.skip("no rights to give up: neither root nor user namespaces")
    words = [*rooted, sys.executable, "-c", f"from amon.engine.program import privileges as p\n{code}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_only_what_is_kept_stays_in_force() -> None:
    said = run("print(p.named(p.drop({p.NET_RAW})), '|', p.named(p.effective()), '|', p.named(p.permitted()))")
    assert said == "CAP_NET_RAW | CAP_NET_RAW | CAP_NET_RAW"


def test_what_was_given_up_does_not_come_back() -> None:
    code = "p.drop({p.NET_RAW})\ntry:\n    p._capset(frozenset({p.NET_RAW, p.BPF}), frozenset({p.NET_RAW, p.BPF}))\n"
    assert run(f"{code}except OSError as error:\n    print(error)").endswith("Operation not permitted")


def test_no_program_that_is_run_afterwards_has_any() -> None:
    look = "['grep', '-E', 'CapEff|CapPrm|CapAmb|NoNewPrivs', '/proc/self/status']"
    said = run(f"import subprocess\np.drop({{p.NET_RAW}})\nprint(subprocess.check_output({look}, text=True))")
    values = dict(line.split(":") for line in said.splitlines())
    # Root gets on exec what its bounding set has: that is what is left of it.
    assert {int(values[name], 16) & ~(1 << privileges.NET_RAW) for name in ("CapEff", "CapPrm", "CapAmb")} == {0}
    assert values["NoNewPrivs"].strip() == "1"


def test_a_thread_that_began_before_is_noticed() -> None:
    code = (
        "import threading\nstop = threading.Event()\nthread = threading.Thread(target=stop.wait)\nthread.start()\n"
        "try:\n    p.drop({p.NET_RAW})\nexcept RuntimeError as error:\n    print(error)\nstop.set()"
    )
    said = run(code)
    assert "began before rights were given up, and has" in said
    assert "CAP_NET_ADMIN" in said


def test_numpy_begins_no_thread_that_keeps_rights() -> None:
    code = "import os\nos.environ['OPENBLAS_NUM_THREADS'] = '1'\nimport numpy\nprint(p.named(p.drop({p.NET_RAW})))"
    assert run(code) == "CAP_NET_RAW"


def test_no_file_can_be_made_or_written_but_those_that_are_open(tmp_path: Path) -> None:
    code = f"""
import os
before = open({str(tmp_path / "before")!r}, "w")
p.drop(())
if not p.forbid_new_files():
    print("no landlock")
else:
    before.write("still mine")
    before.close()
    for attempt in (lambda: open({str(tmp_path / "new")!r}, "w"), lambda: open({str(tmp_path / "before")!r}, "a"),
                    lambda: os.mkdir({str(tmp_path / "folder")!r}), lambda: os.execv("/bin/true", ["true"])):
        try:
            attempt()
        except PermissionError:
            print("refused")
    print(open("/proc/self/comm").read().strip() != "")
"""
    said = run(code)
    if said == "no landlock":
        pytest.skip("this kernel has no landlock")
    assert said.split("\n") == ["refused"] * 4 + ["True"]
    assert (tmp_path / "before").read_text() == "still mine"


def test_a_parent_holds_none_in_force_and_gives_them_to_its_children() -> None:
    code = "p.suspend()\nprint(p.named(p.effective()))\np.resume()\nprint(p.NET_RAW in p.effective())"
    assert run(code).split("\n") == ["none", "True"]


def test_a_child_ends_with_its_parent() -> None:
    code = """
import os, signal, time
r, w = os.pipe()
if os.fork() == 0:
    p.end_with_parent(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"told"), os._exit(0)))
    os.write(w, b"x")
    time.sleep(20)
    os._exit(1)
os.read(r, 1)
"""
    assert run(code) == "told"


def test_capabilities_are_named_for_people() -> None:
    assert privileges.named({privileges.BPF, privileges.NET_RAW, 1}) == "capability 1 CAP_NET_RAW CAP_BPF"
    assert privileges.named(()) == "none"
