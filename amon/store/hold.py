"""A file that one process holds at a time: who delivers a job, who is the courier. Source: flock(2).

The kernel lets it go when the process ends, however it ends, so nobody has to clean up after a crash.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def hold(path: Path) -> Iterator[bool]:
    """While the block lasts it is ours, and our process id stands in it; False: somebody else's. Gone afterwards."""
    descriptor = _taken(path)
    if descriptor is None:
        yield False
        return
    try:
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield True
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether somebody holds it now."""
    return _look(path) is not None


def holder(path: Path) -> int | None:
    """The process id of who holds it; None if nobody does, or he has not said it yet."""
    word = _look(path) or b""
    return int(word) if word.isdigit() and int(word) > 1 else None


def _look(path: Path) -> bytes | None:
    """What its holder wrote into it; None if nobody holds it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return os.pread(descriptor, 20, 0).strip()
    finally:
        os.close(descriptor)


def _taken(path: Path) -> int | None:
    """A descriptor that holds it. One that was unlinked while we waited for nothing is not the one of that name."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)
