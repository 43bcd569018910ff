"""What was typed, for the next time: $XDG_STATE_HOME/amon/shell_history, one line each, for its owner alone.

prompt_toolkit would write every line at once. Here a line is remembered while the shell lives, and is written down only
when somebody says that no secret can be in it.
"""

import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from prompt_toolkit.history import History

from amon.errors import Failed
from amon.files import write_whole

MOST_LINES = 2_000
_MOST_BYTES = 1024 * 1024


class KeptHistory(History):
    """A file that cannot be read or written is no reason to fail: what is typed is then forgotten."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._last = ""

    def load_history_strings(self) -> Iterable[str]:
        """The newest first."""
        lines = self._lines()
        self._last = lines[-1] if lines else ""
        return reversed(lines)

    def store_string(self, string: str) -> None:
        """Nothing yet; see `keep`."""

    def keep(self, line: str) -> None:
        """Write it down. A link in its place is not followed, and what others could read is made private first."""
        if not line.isprintable() or line == self._last:
            return
        self._last = line
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            number = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(number, "a", encoding="utf-8") as file:
                if stat.S_IMODE(os.fstat(number).st_mode) & 0o077:
                    os.fchmod(number, 0o600)
                file.write(line + "\n")

    def _lines(self) -> list[str]:
        """The last ones; a file that has grown too long is cut to them."""
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _MOST_BYTES))
                text = file.read(_MOST_BYTES).decode(errors="replace")
        except OSError:
            return []
        lines = [line for line in text.split("\n")[1 if size > _MOST_BYTES else 0 :] if line and line.isprintable()]
        kept = lines[-MOST_LINES:]
        if size > _MOST_BYTES:
            self._cut(kept)
        return kept

    def _cut(self, lines: list[str]) -> None:
        with contextlib.suppress(Failed):
            write_whole(self._path, "".join(f"{line}\n" for line in lines[-MOST_LINES // 2 :]))
