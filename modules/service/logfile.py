"""The log of a service that has no other: a file it appends to by itself, so that it does not need the agent.

It is cut back where it stands (copy, then truncate), as logrotate's `copytruncate` does: the service keeps its
descriptor, and O_APPEND lets it go on at the new end. Lines written between copy and truncation are lost: the price of
having no pipe.
"""

import asyncio
import os
import pwd
import re
from pathlib import Path

from amon.clock import Clock
from amon.text import visible

LINES = 10
MOST = 2048  # characters
_READ = 16 * 1024  # bytes looked at for the last lines
_CHUNK = 1024 * 1024  # bytes copied at a time
_EVERY = 2.0  # seconds between looks at the size: bounds what a raging service can write in excess
# Colours and cursor movements of programs that believe to be on a terminal (ECMA-48, 5.4).
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")


def open_append(path: Path) -> int:
    """A descriptor to hand to a child; not inherited by any other."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def trim(path: Path, limit: int) -> bool:
    """Past `limit` bytes: keep the last `limit` in `NAME.1`, and empty the file. Never holds more than 1 MiB."""
    length = size(path)
    if length <= limit:
        return False
    fresh = path.with_name(path.name + ".new")
    with path.open("rb") as source, fresh.open("wb") as kept:
        source.seek(length - limit)
        left = limit
        while left and (chunk := source.read(min(left, _CHUNK))):
            kept.write(chunk)
            left -= len(chunk)
    fresh.rename(path.with_name(path.name + ".1"))
    os.truncate(path, 0)
    return True


async def tend(path: Path, limit: int, clock: Clock) -> None:
    """For ever: look at the size and cut back. A disk that refuses is the disk's check to tell, not ours."""
    while True:
        if size(path) > limit:
            try:
                await asyncio.to_thread(trim, path, limit)
            except OSError:
                pass
        await clock.sleep(_EVERY)


def last_lines(path: Path, since: int = 0) -> tuple[str, ...]:
    """The end of the file, from byte `since` on, as people may see it; of the part before, where it was just cut."""
    text = _end(path, since)
    if not text.strip() and size(path) < max(since, 1):
        text = _end(path.with_name(path.name + ".1"), 0)
    return clean(text)


def clean(text: str) -> tuple[str, ...]:
    """At most ten lines and 2,000 characters from the end, without control characters."""
    shown = [_shown(line) for line in text.splitlines()]
    kept: list[str] = []
    left = MOST
    for line in reversed([line for line in shown if line]):
        if len(kept) == LINES or left <= 0:
            break
        kept.append(line[:left])
        left -= len(line)
    return tuple(reversed(kept))


def one_line(line: bytes) -> str:
    """A line of a log as people may see it."""
    return _shown(line[:_READ].decode("utf-8", "replace"))


def _shown(line: str) -> str:
    return visible(_ESCAPES.sub("", line).rstrip(), lines=False)


def _end(path: Path, since: int) -> str:
    try:
        with path.open("rb") as file:
            length = os.fstat(file.fileno()).st_size
            since = since if since <= length else 0  # cut back meanwhile
            file.seek(max(since, length - _READ))
            text = file.read(_READ)
    except OSError:
        return ""
    return text.decode("utf-8", "replace")


def own_user() -> str:
    """Whom the administrator of this host has to let in."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
