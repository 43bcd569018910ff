"""Files: read with owner and mode judged, written whole, and names from outside that cannot leave their root.

Sources: inode(7), open(2), rename(2), fsync(2); CWE-22. A file is opened once and judged by what was opened.
"""

import contextlib
import os
import pwd
import secrets
import stat
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from amon.errors import Failed

_PRIVATE = (0o600, 0o400)
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.@+")
_LONGEST_PART = 200  # bytes; file systems take 255, and something may be put behind it


def below(root: Path, name: str) -> Path:
    """The one entry of `root` that stands for `name`, whoever chose it: never `root` itself, nor anything outside.

    Two names are two entries. `Failed` for an entry that is a link out of `root`.
    """
    path = root / part(name)
    if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
        raise Failed(f"{path} is a link that leads out of {root}; next: put a directory or a file in its place")
    return path


def part(name: str) -> str:
    """`name` as one part of a path: a plain one is itself, all else is written %xx; a long one ends in its digest."""
    made = "".join(one if one in _PLAIN else _escaped(one) for one in name)
    if made.startswith("."):  # neither `.`, nor `..`, nor hidden
        made = _escaped(".") + made[1:]
    if len(made) > _LONGEST_PART:
        digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        made = f"{made[: _LONGEST_PART - 33]}%{digest}"
    return made or "%"


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def read_file(path: Path, most: int) -> tuple[bytes, os.stat_result]:
    """What is in a file of at most `most` bytes, and its owner and mode; `Failed` says why not."""
    try:
        # O_NONBLOCK: a pipe put in place of the file must not hold us up.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise Failed(why(error, path)) from None
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


def write_whole(
    path: Path,
    content: str | bytes,
    mode: int = 0o600,
    dress: Callable[[int], None] = lambda descriptor: None,
    *,
    alone: bool = False,
) -> None:
    """Puts a file in place in one step, on the disk before this returns; `Failed` leaves what was there.

    dress: is given the open file before it is in place, to give it another owner for example. alone: nobody else writes
    here at the same time, so what a power loss left beside it can be thrown away.
    """
    fresh = path.with_name(f".{path.name}.new" if alone else f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        if alone:
            fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fchmod(descriptor, mode)  # whatever the umask is
            dress(descriptor)
            os.fsync(descriptor)
        fresh.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise Failed(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from None


def sync_directory(path: Path) -> None:
    """A name is only safe when its directory is: fsync(2), NOTES."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def mode_fault(path: Path, found: os.stat_result, uid: int, *, private: bool, program: str = "amon-agent") -> str:
    """What is wrong with owner and mode, with the command that mends it; empty if nothing is.

    private: others must not read it either.
    """
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid not in (0, uid):
        owner, we = user(found.st_uid), user(uid)
        # Root looks over the files of the agent's own user: that user has to look.
        runs = f"runuser -u {owner} -- {program} ..., if the {program.removeprefix('amon-')} runs as {owner}, else "
        return f"{path} belongs to {owner}, and this is {we}; next: {runs if uid == 0 else ''}chown {we} {path}"
    if private and mode not in _PRIVATE:
        return f"{path} has mode {mode:04o}, but a secret is for one reader only; next: chmod 600 {path}"
    if mode & 0o022:
        return f"{path} has mode {mode:04o}, so others can change it; next: chmod go-w {path}"
    return ""


def user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def why(error: OSError, path: Path) -> str:
    """Why it could not be opened, in words."""
    if isinstance(error, FileNotFoundError):
        return f"{path} does not exist"
    if isinstance(error, PermissionError):
        return f"{path} cannot be read by {user(os.geteuid())}; next: ls -l {path}"
    return f"{path} cannot be opened: {(error.strerror or str(error)).lower()}"
