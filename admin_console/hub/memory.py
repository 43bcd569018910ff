"""What a hub must know again after its end: slots that are lent, and lines whose asker waits. One small file.

There is nothing in it that anybody typed but the first word, and nothing that a site answered.
"""

import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amon.errors import Failed
from amon.files import write_whole

_MOST = 4 * 1024 * 1024  # bytes


class Memory:
    """A file in a directory of the hub's own. A disk that takes nothing costs what is in it, and is told once."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / "hub.json"
        self._written = ""
        self._broken = False
        self._log = logging.getLogger("amon.hub")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Holds the directory: two hubs would say everything twice. `Failed` if another one has it."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Failed(f"{self._folder} cannot be used: {error.strerror}; next: set `state`") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise Failed(f"another hub uses {self._folder}; next: stop it, or give this one a `state`") from None
        finally:
            os.close(descriptor)

    def recall(self) -> dict[str, Any]:
        """What was kept last; nothing if it cannot be read."""
        try:
            with self._path.open("rb") as file:
                data = json.loads(file.read(_MOST))
        except (OSError, ValueError, RecursionError):
            return {}
        return data if isinstance(data, dict) else {}

    def keep(self, data: dict[str, Any]) -> None:
        text = json.dumps(data)
        if text == self._written:
            return
        try:
            write_whole(self._path, text, alone=True)
            self._written, self._broken = text, False
        except Failed as fault:
            if not self._broken:
                self._log.error("%s; what is lent and asked now is forgotten if the hub ends", fault)
            self._broken = True
