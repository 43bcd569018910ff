"""The fleet book: what the console has made on the server, so that it can be taken back, and made again.

One JSON file, by default $XDG_DATA_HOME/amon/ROOM/book.json. It holds the secret each site was enrolled with: good for
nothing while the server remembers the site's own password, and what a server that lost everything is given again.
Several admins may share it: who changes it holds a lock (flock(2)), and it is replaced whole (rename(2), fsync(2)).
"""

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from amon.convert import from_data
from amon.errors import Failed, Problem
from amon.fields import Field
from amon.files import write_whole

State = Literal["made", "invited", "approved", "revoked"]
"""made: the account may or may not be there; invited: a token is out; approved: in the fleet; revoked: taken out."""

_MOST = 64 * 1024 * 1024  # bytes; a site has some 400
_VERSION = 1


@dataclass(frozen=True, slots=True)
class SiteEntry:
    """One site. issued, expires, since: epoch seconds. key: its public key as approved. old_keys: revoked ones."""

    jid: str
    secret: str = field(default="", repr=False)
    state: State = "made"
    by: str = ""
    issued: float = 0
    expires: float = 0
    since: float = 0
    key: str = ""
    old_keys: tuple[str, ...] = ()
    tags: Annotated[dict[str, str], Field("tags")] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.jid.partition("@")[0]


@dataclass(frozen=True, slots=True)
class Person:
    """One admin. account: made by us, so that we may remove it and have to make it again."""

    jid: str
    role: str = "operator"
    account: bool = False
    by: str = ""
    since: float = 0


@dataclass(frozen=True, slots=True)
class Book:
    """All that is known. sites and people: bare address to what is known of it."""

    sites: dict[str, SiteEntry] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    version: int = _VERSION

    def site(self, name: str) -> SiteEntry | None:
        """By its name or its address."""
        found = [entry for entry in self.sites.values() if name in (entry.name, entry.jid)]
        if len(found) > 1:
            raise Failed(f"there are {len(found)} sites called {name}; next: say the whole address, NAME@DOMAIN")
        return found[0] if found else None

    def with_site(self, entry: SiteEntry) -> "Book":
        return replace(self, sites={**self.sites, entry.jid: entry})

    def without_site(self, jid: str) -> "Book":
        return replace(self, sites={key: entry for key, entry in self.sites.items() if key != jid})

    def with_person(self, person: Person) -> "Book":
        return replace(self, people={**self.people, person.jid: person})

    def without_person(self, jid: str) -> "Book":
        return replace(self, people={key: one for key, one in self.people.items() if key != jid})


class BookFile:
    """The file. `change` is the only way to write it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Book:
        """What stands in it; an empty one where there is none. `Failed` where it cannot be believed."""
        try:
            with self.path.open("rb") as file:
                self._check(os.fstat(file.fileno()))
                data = file.read(_MOST)
        except FileNotFoundError:
            return Book()
        except OSError as error:
            raise Failed(f"the fleet book {self.path} cannot be read: {error.strerror}") from None
        return self._understood(data)

    def site(self, name: str) -> SiteEntry:
        """The site of this name; `Failed` if the book knows none."""
        entry = self.read().site(name)
        if entry is None:
            raise Failed(f"the fleet book {self.path} knows no site {name}; next: amon enroll --list")
        return entry

    @contextlib.contextmanager
    def change(self) -> Iterator["Change"]:
        """Read, changed and written while nobody else does; the last `book` of the change is written at its end."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        except OSError as error:
            raise Failed(f"the fleet book {self.path} cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            change = Change(self.read())
            before = change.book
            yield change
            if change.book != before:
                self._write(change.book)
        finally:
            os.close(lock)

    def put(self, entry: SiteEntry) -> None:
        with self.change() as change:
            change.book = change.book.with_site(entry)

    def _check(self, found: os.stat_result) -> None:
        if found.st_mode & stat.S_IRWXO:
            raise Failed(f"{self.path} holds the sites' secrets and others can read it; next: chmod o= {self.path}")

    def _understood(self, data: bytes) -> Book:
        problems: list[Problem] = []
        try:
            plain = json.loads(data)
            newer = isinstance(plain, dict) and plain.get("version", 0) > _VERSION
        except (ValueError, RecursionError, TypeError):
            raise Failed(f"the fleet book {self.path} is damaged; next: take it from a backup") from None
        if newer:
            raise Failed(f"the fleet book {self.path} was written by a newer amon; next: update this one")
        book = from_data(plain, Book, "", problems)
        if book is None or problems:
            raise Failed(f"the fleet book {self.path} is damaged: {problems[0]}; next: take it from a backup")
        return book

    def _write(self, book: Book) -> None:
        text = json.dumps(asdict(book), indent=1, sort_keys=True) + "\n"
        try:
            write_whole(self.path, text, dress=self._keep_group)
        except Failed as failed:
            raise Failed(f"the fleet book: {failed}") from None

    def _keep_group(self, descriptor: int) -> None:
        """Admins who share the book share a group; it stays theirs."""
        with contextlib.suppress(FileNotFoundError):
            old = self.path.stat()
            if old.st_mode & stat.S_IRWXG:
                os.fchown(descriptor, -1, old.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(old.st_mode) & 0o770)


@dataclass(slots=True)
class Change:
    """A book that is being changed."""

    book: Book
