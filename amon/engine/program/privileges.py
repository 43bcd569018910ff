"""What this process may do besides any other one, and giving it up.

Capabilities belong to a thread: what is given up here must be given up before there are others. Sources:
capabilities(7), capset(2), prctl(2), landlock(7), user_namespaces(7).
"""

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

NET_ADMIN, NET_RAW, IPC_LOCK, BPF = 12, 13, 14, 39
NAMES = {NET_ADMIN: "CAP_NET_ADMIN", NET_RAW: "CAP_NET_RAW", IPC_LOCK: "CAP_IPC_LOCK", BPF: "CAP_BPF"}

_VERSION_3 = 0x20080522
_PR_SET_PDEATHSIG, _PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 23, 24, 38
_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL = 47, 4
_PR_SET_TIMERSLACK = 29
_MCL_CURRENT, _MCL_FUTURE = 1, 2
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LAST = 63
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446  # the same on every architecture since they came
# Of LANDLOCK_ACCESS_FS_*: execute, write, make anything. Reading stays: the configuration is read again.
_MAKE = 1 << 0 | 1 << 1 | sum(1 << bit for bit in range(6, 13))


def effective(thread: str = "self") -> frozenset[int]:
    """Capabilities in force, by number. thread: `self`, or the id of one of ours."""
    return _set(thread, "CapEff")


def permitted() -> frozenset[int]:
    return _set("self", "CapPrm")


def _set(thread: str, kind: str) -> frozenset[int]:
    where = Path("/proc/thread-self/status" if thread == "self" else f"/proc/self/task/{thread}/status")
    for line in where.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == kind:
            bits = int(value, 16)
            return frozenset(bit for bit in range(_LAST + 1) if bits >> bit & 1)
    return frozenset()


def named(capabilities: Iterable[int]) -> str:
    """`CAP_NET_RAW CAP_BPF`, or `none`."""
    return " ".join(NAMES.get(one, f"capability {one}") for one in sorted(capabilities)) or "none"


def suspend() -> None:
    """None in force, all kept: for who only has to give them to its children."""
    _capset(frozenset(), permitted())


def resume() -> None:
    _capset(permitted(), permitted())


def drop(keep: Iterable[int]) -> frozenset[int]:
    """Only these stay, as far as they were there; nothing that is run from here gets any back. Returns what stayed.

    `OSError` if the kernel refuses: then nobody may go on as if it had not. RuntimeError: a thread has more.
    """
    left = permitted() & frozenset(keep)
    _prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)
    for one in range(_LAST + 1):
        # Without CAP_SETPCAP that set stays; it gives nothing by itself, and nothing new is run (below).
        if one not in left and _prctl_quietly(_PR_CAPBSET_READ, one) == 1:
            _prctl_quietly(_PR_CAPBSET_DROP, one)
    if not left == permitted() == effective():  # who has nothing need not be allowed to give it up
        _capset(left, left)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    for thread in os.listdir("/proc/self/task"):  # noqa: PTH208
        more = effective(thread) - left
        if more:
            raise RuntimeError(f"thread {thread} began before rights were given up, and has {named(more)}")
    return left


def forbid_new_files() -> bool:
    """No file can be made, written to or run by name any more; what is open stays open. Whether the kernel does it.

    Needs `drop` before (no_new_privs).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    attributes = ctypes.create_string_buffer(struct.pack("Q", _MAKE))
    ruleset = libc.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(8), 0)
    if ruleset < 0:
        return False
    try:
        return int(libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0)) == 0
    finally:
        os.close(ruleset)


def end_with_parent(signal: int) -> None:
    """This process gets that signal when its parent ends."""
    _prctl(_PR_SET_PDEATHSIG, signal)


def sharp_timers() -> None:
    """Timers of this thread are 1 ns late, not 50 µs."""
    _prctl(_PR_SET_TIMERSLACK, 1)


def keep_heap() -> None:
    """Columns of a few thousand rows come from memory that we keep: given back to the kernel after each turn, every
    page of it would be faulted in again at the next. Source: mallopt(3); other C libraries have no such call."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1 << 20)
        mallopt(_M_TRIM_THRESHOLD, 16 << 20)


def lock_memory() -> None:
    """`OSError` without the right or the limit for it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _capset(effective_: frozenset[int], permitted_: frozenset[int]) -> None:
    """Nothing is inheritable."""
    words = []
    for shift in (0, 32):
        for which in (effective_, permitted_, frozenset[int]()):
            words.append(sum(1 << one for one in which) >> shift & 0xFFFF_FFFF)
    header = ctypes.create_string_buffer(struct.pack("Ii", _VERSION_3, 0))
    data = ctypes.create_string_buffer(struct.pack("6I", *words))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(header, data):
        raise OSError(ctypes.get_errno(), f"capset: {os.strerror(ctypes.get_errno())}")


def _prctl(option: int, *arguments: int) -> int:
    result = _prctl_quietly(option, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}: {os.strerror(ctypes.get_errno())}")
    return result


def _prctl_quietly(option: int, *arguments: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    padded = [*arguments, 0, 0, 0, 0][:4]
    return int(libc.prctl(option, *(ctypes.c_ulong(one) for one in padded)))
