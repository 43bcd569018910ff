"""A module that writes down whatever it is made to do, installed as any other: a distribution with an entry point."""

from pathlib import Path

_MODULE = '''
"""A module that writes down what it is made to do."""
import pathlib
from typing import Annotated
from dataclasses import dataclass
from amon.command import Call, command
from amon.fields import Field
from amon.module import Module

Word = Annotated[str, Field("any word", pattern=r".*", longest=9000)]

@dataclass(frozen=True, slots=True)
class Settings:
    file: Annotated[pathlib.Path, Field("where it is written down")]

@dataclass(frozen=True, slots=True)
class Said:
    text: Annotated[str, Field("what it says")]

    def __str__(self) -> str:
        return self.text

class MarkModule(Module[Settings]):
    def _note(self, what: str, word: str) -> Said:
        with self.env.settings.file.open("a") as out:
            out.write(f"{what} {word}\\n")
        return Said(f"{what} {word}")

    @command(role="operator", effect="change")
    async def mark(self, call: Call, word: Word) -> Said:
        """Write a word down."""
        return self._note("mark", word)

    @mark.plan
    async def _mark(self, call: Call, word: Word) -> Said:
        return self._note("plan", word)

    @command(role="admin", effect="danger")
    async def burn(self, call: Call, word: Word) -> Said:
        """Burn the site down."""
        return self._note("burn", word)

    @burn.plan
    async def _burn(self, call: Call, word: Word) -> Said:
        return self._note("plan", word)

    @command(role="observer")
    async def peek(self, call: Call, word: Word) -> Said:
        """Read."""
        return self._note("peek", word)
'''


def install(folder: Path) -> None:
    """A distribution with one module, as `pip install` would leave it."""
    info = folder / "marks-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "marks.py").write_text(_MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: marks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[amon.modules]\nmark = marks:MarkModule\n")
