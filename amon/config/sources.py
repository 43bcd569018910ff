"""Where a secret of a configuration is: in the file itself, in one of its own, in the environment, or with systemd.

    password = "..."
    password = { file = "/etc/amon/password" }   # mode 0600 or 0400, one line
    password = { env = "AMON_PASSWORD" }
    password = { credential = "password" }       # below $CREDENTIALS_DIRECTORY: systemd.exec(5), LoadCredential=

What is wrong is said with the place, never with the value.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amon.errors import Failed, Problem
from amon.fields import Secret
from amon.files import mode_fault, read_file
from amon.text import did_you_mean

WAYS = ("file", "env", "credential")
_LONGEST = 4096  # bytes
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")
_CREDENTIAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")  # one name in one directory


class NoSecret(Problem):
    """Where a secret is said to be there is none that could be used."""


class WrongMode(NoSecret):
    """Somebody else than its reader can read or change the file of a secret."""


@dataclass(slots=True)
class Sources:
    """Finds the secrets of one reading of a configuration; each place is looked at once.

    uid: who reads. beside: the directory that relative paths count from; None refuses them. written: paths of the
    secrets that stand in the configuration itself, with what is written.
    """

    uid: int = field(default_factory=os.geteuid)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    credentials: Path | None = None
    beside: Path | None = None
    program: str = "amon-agent"
    written: dict[str, Secret] = field(default_factory=dict)
    _found: dict[tuple[str, str], tuple[Secret | None, tuple[Problem, ...]]] = field(default_factory=dict)

    @classmethod
    def here(cls, beside: Path | None = None, program: str = "amon-agent") -> "Sources":
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        return cls(credentials=Path(directory) if directory else None, beside=beside, program=program)

    def find(self, value: Any, path: str, problems: list[Problem]) -> Secret | None:
        """For `from_data`."""
        secret = self.again(value, path, problems)
        if isinstance(value, str) and value and secret is not None:
            self.written[path] = secret
        return secret

    def again(self, value: Any, path: str, problems: list[Problem]) -> Secret | None:
        """The same where a part of the configuration is read a second time: `written` stays as it is."""
        if isinstance(value, str):
            return Secret(value)
        if not isinstance(value, Mapping):
            problems.append(Problem(path, "is not what is expected here"))
            return None
        if len(value) != 1 or next(iter(value)) not in WAYS:
            problems.append(Problem(path, _no_way(value)))
            return None
        ((way, name),) = value.items()
        if not isinstance(name, str):
            problems.append(Problem(f"{path}.{way}", "expected text"))
            return None
        return self.get(way, name, f"{path}.{way}", problems)

    def get(self, way: str, name: str, path: str, problems: list[Problem]) -> Secret | None:
        """The secret in one place. The mode of a file may be a problem although the secret is known."""
        if (way, name) not in self._found:
            found: list[Problem] = []
            secret = self._look(way, name, found)
            self._found[way, name] = secret, tuple(found)
        secret, told = self._found[way, name]
        problems += [type(one)(path, one.text) for one in told]
        return secret

    def _look(self, way: str, name: str, found: list[Problem]) -> Secret | None:
        try:
            if way == "env":
                return _one_line(self._variable(name), f"the variable {name}")
            place, data = self._file(name, found) if way == "file" else self._credential(name)
            try:
                text = data.decode()
            except UnicodeDecodeError:
                raise Failed(f"{place} is not text in UTF-8") from None
            # Editors and `echo` end a file with a line end that nobody means.
            return _one_line(text.removesuffix("\n").removesuffix("\r"), str(place))
        except Failed as error:
            found.append(NoSecret("", str(error)))
            return None

    def _variable(self, name: str) -> str:
        if not _VARIABLE.fullmatch(name):
            raise Failed("is no name of a variable, such as AMON_PASSWORD")
        if name not in self.environment:
            raise Failed(
                f"the environment has no {name}; next: set it for this process, or put the secret into a file and "
                'write { file = "..." }'
            )
        return self.environment[name]

    def _file(self, name: str, found: list[Problem]) -> tuple[Path, bytes]:
        place = Path(name)
        if self.beside is not None:
            place = self.beside / place.expanduser()
        elif not place.is_absolute():
            raise Failed(f"{place} is relative; write the whole path")
        data, state = read_file(place, _LONGEST)
        fault = mode_fault(place, state, self.uid, private=True, program=self.program)
        if fault:
            found.append(WrongMode("", fault))
        return place, data

    def _credential(self, name: str) -> tuple[Path, bytes]:
        if not _CREDENTIAL.fullmatch(name):
            raise Failed("is no name of a credential: letters, digits, and - _ . behind the first")
        if self.credentials is None:
            raise Failed(
                f"no credentials were handed to this process; next: LoadCredential={name}:/path/of/file "
                "in the unit of the agent, and start it by systemd"
            )
        # The directory is systemd's and only this unit's; with access lists its files look readable by a group.
        place = self.credentials / name
        return place, read_file(place, _LONGEST)[0]


def _one_line(text: str, place: str) -> Secret:
    if not text:
        raise Failed(f"{place} is empty")
    if "\n" in text:
        raise Failed(f"{place} has more than one line; only the secret belongs there")
    return Secret(text)


def _no_way(value: Mapping[str, Any]) -> str:
    """A table could hold the secret under a wrong key: keys are shown where they look like ours, values never."""
    how = 'write it as text, or as a table with one of { file = "..." }, { env = "..." } and { credential = "..." }'
    near = did_you_mean(str(next(iter(value)))[:16], WAYS) if len(value) == 1 else ""
    return f"{how}{near}"
