"""Small records on disk that survive a kill and a power cut: written whole beside, synced, renamed over.

Source: rename(2) and fsync(2); the directory is synced too, or the rename itself may be lost.
"""

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from amon.errors import Failed
from amon.files import sync_directory

_LARGEST = 1024 * 1024  # characters read


def write(path: Path, record: Mapping[str, Any]) -> None:
    """Replace the record; when this returns it is on the disk."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(dict(record), file)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    sync_directory(path.parent)


async def save(path: Path, record: Mapping[str, Any]) -> None:
    """`write` in a thread; `Failed` where the disk says no.

    Whoever is cancelled waits for its end: the next one must not find half of it.
    """
    writing = asyncio.ensure_future(asyncio.to_thread(write, path, record))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait([writing])
        raise
    except OSError as fault:
        text = f"{path.parent.name}/{path.name} cannot be written ({fault.strerror}); next: look at the site's disk"
        raise Failed(text) from fault


def read(path: Path) -> dict[str, Any] | None:
    """The record, or None where there is none or it cannot be understood (a disk that was repaired)."""
    try:
        with path.open(encoding="utf-8") as file:
            found = json.loads(file.read(_LARGEST))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
