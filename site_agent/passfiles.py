"""A password's file and the two beside it: `.next` while it is being changed, `.recovery` from the enrolment.

Each is there whole or not at all, also after a power loss: rename(2), fsync(2). Whoever keeps all of them can always
log in: the server holds the old password, the new one or, where it was lost and made anew, that of the enrolment.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from amon.errors import Failed
from amon.files import sync_directory
from site_agent.files import mode_fault, read_file

_LONGEST = 4096  # bytes


@dataclass(frozen=True, slots=True)
class PassFiles:
    """`path` holds the password that works as far as is known."""

    path: Path

    @property
    def next(self) -> Path:
        """What the server was asked to take; nobody knows yet whether it did."""
        return self.path.with_name(f"{self.path.name}.next")

    @property
    def recovery(self) -> Path:
        """What the console keeps, too: `amon server restore` gives it to the account again."""
        return self.path.with_name(f"{self.path.name}.recovery")

    def spare(self, uid: int) -> tuple[str, ...]:
        """The passwords beside the first, in the order to try them; `Failed` where others can read one."""
        found = (_line(path, uid) for path in (self.next, self.recovery))
        return tuple(one for one in found if one)

    def held(self, path: Path) -> str:
        """The password in one of the files; empty if there is none."""
        return _line(path, os.geteuid())

    def promote(self) -> None:
        """The next one is the password."""
        self.next.replace(self.path)
        sync_directory(self.path.parent)

    def drop_next(self) -> None:
        """The server did not take it."""
        with contextlib.suppress(FileNotFoundError):
            self.next.unlink()
        sync_directory(self.path.parent)


@dataclass(frozen=True, slots=True)
class Keep:
    """How an account keeps its password. every: seconds; None changes it only after a recovery."""

    path: Path
    every: float | None = None

    @property
    def files(self) -> PassFiles:
        return PassFiles(self.path)


def _line(path: Path, uid: int) -> str:
    if not path.exists():
        return ""
    data, state = read_file(path, _LONGEST)
    fault = mode_fault(path, state, uid, private=True)
    if fault:
        raise Failed(fault)
    try:
        return data.decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise Failed(f"{path} is not text in UTF-8") from None
