"""Files that only the right people may read or change: opened once, judged by what was opened. Source: inode(7).

Who can change a configuration decides who may command this site; who can read a password is this site.
"""

import os
import pwd
import stat
from pathlib import Path

from amon.errors import Failed

_PRIVATE = (0o600, 0o400)


def read_file(path: Path, most: int) -> tuple[bytes, os.stat_result]:
    """What is in a file of at most `most` bytes, and its owner and mode; `Failed` says why not."""
    try:
        # O_NONBLOCK: a pipe put in place of the file must not hold us up.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise Failed(_why(error, path)) from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise Failed(f"{path} is {'a directory' if stat.S_ISDIR(found.st_mode) else 'no file'}")
        if found.st_size > most:
            raise Failed(f"{path} is {found.st_size} bytes long; at most {most} are taken")
        return os.read(descriptor, most), found
    except OSError as error:
        raise Failed(f"{path} cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)


def mode_fault(path: Path, found: os.stat_result, uid: int, *, private: bool) -> str:
    """What is wrong with owner and mode, with the command that mends it; empty if nothing is.

    private: others must not read it either.
    """
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid not in (0, uid):
        owner, we = user(found.st_uid), user(uid)
        # Root looks over the files of the agent's own user: that user has to look.
        other = f"runuser -u {owner} -- amon-agent ..., if the agent runs as {owner}, else " if uid == 0 else ""
        return f"{path} belongs to {owner}, and this is {we}; next: {other}chown {we} {path}"
    if private and mode not in _PRIVATE:
        return f"{path} has mode {mode:04o}, but a secret is for one reader only; next: chmod 600 {path}"
    if mode & 0o022:
        return f"{path} has mode {mode:04o}, so others can change it; next: chmod go-w {path}"
    return ""


def directory_fault(path: Path, uid: int) -> str:
    """Why the agent could not keep its files in this directory, which it may have to make; empty if it can."""
    try:
        found = path.stat()
    except FileNotFoundError:
        above = next(parent for parent in path.parents if parent.exists())
        if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
            return ""
        return f"{path} does not exist and cannot be made; next: install -d -m 700 -o {user(uid)} {path}"
    except OSError as error:
        return _why(error, path)
    if not stat.S_ISDIR(found.st_mode):
        return f"{path} is not a directory"
    if found.st_uid not in (0, uid) or found.st_mode & 0o022:
        return mode_fault(path, found, uid, private=False)
    if not os.access(path, os.W_OK | os.X_OK):
        return f"{path} cannot be written by {user(uid)}; next: chown {user(uid)} {path}"
    return ""


def user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _why(error: OSError, path: Path) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{path} does not exist"
    if isinstance(error, PermissionError):
        return f"{path} cannot be read by {user(os.geteuid())}; next: ls -l {path}"
    return f"{path} cannot be opened: {(error.strerror or str(error)).lower()}"
