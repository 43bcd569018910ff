"""The sockets of an engine in the file system: made for whoever may connect, never taken from another engine.

Source: unix(7). Who may connect is the business of the socket's group; whom it then speaks for, that of the desk.
"""

import errno
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from amon.errors import Failed

_BACKLOG = 64
_CORES_MOST = 1024


@contextmanager
def listening(path: Path, cores: int, group: int | None = None) -> "Iterator[list[socket.socket]]":
    """One listener at `path`, or for several cores one each at `PATH.0`, `PATH.1`, ...; `Failed` says why not.

    They stay as long as the block, whichever process accepts from them, so that nobody is turned away meanwhile.
    """
    paths = [path] if cores < 2 else [path.with_name(f"{path.name}.{core}") for core in range(cores)]
    _clear(path, paths)
    made: list[socket.socket] = []
    try:
        # Whoever finds the first one finds the others.
        for one in reversed(paths):
            made.insert(0, _listen(one, group))
        mine = [os.stat(one).st_ino for one in paths]  # noqa: PTH116
        yield made
        _remove(paths, mine)
    finally:
        for listener in made:
            listener.close()


def _listen(path: Path, group: int | None) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    before = os.umask(0o117)
    try:
        listener.bind(str(path))
        if group is not None:
            os.chown(path, -1, group)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise Failed(_why(error, path)) from None
    finally:
        os.umask(before)
    return listener


def _why(error: OSError, path: Path) -> str:
    if error.errno == errno.ENOENT:
        return f"{path.parent} does not exist; next: RuntimeDirectory= in the unit, or mkdir {path.parent}"
    if error.errno in (errno.EPERM, errno.EACCES):
        return f"{path} cannot be made: {error.strerror}; next: see who owns {path.parent}, and `group`"
    return f"{path} cannot be made: {error.strerror}"


def _clear(path: Path, wanted: Sequence[Path]) -> None:
    """What an engine left that was killed. `Failed` if one lives, or if something else is there."""
    several = [path.with_name(f"{path.name}.{core}") for core in range(_CORES_MOST)]
    for one in (path, *several):
        try:
            kind = one.lstat().st_mode
        except OSError:
            continue
        if not stat.S_ISSOCK(kind):
            if one in wanted:
                raise Failed(f"{one} is there and no socket; next: choose another `socket`")
        elif is_listening(one):
            raise Failed(f"another engine listens at {one}; next: stop it, or give this one a `socket` of its own")
        else:
            one.unlink(missing_ok=True)


def is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK) as one:
        try:
            one.connect(str(path))
        except BlockingIOError:
            return True  # its backlog is full
        except OSError as error:
            return error.errno not in (errno.ECONNREFUSED, errno.ENOENT)
    return True


def _remove(paths: Sequence[Path], inodes: Sequence[int]) -> None:
    for path, inode in zip(paths, inodes, strict=True):
        try:
            if path.lstat().st_ino == inode:
                path.unlink()
        except OSError:
            pass  # systemd removes the whole directory, and may be quicker
