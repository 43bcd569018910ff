"""The table of defences: rule, place, and the test that shows it. Read from defences.toml.

python -m tests.security.defences        prints the table as it stands in the page
"""

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("defences.toml")
_BEGIN, _END = "<!-- defences: python -m tests.security.defences --write -->", "<!-- end of the defences -->"


@dataclass(frozen=True, slots=True)
class Cut:
    """A text that stands exactly once in a file, and what takes its place when the defence is taken out."""

    file: str
    text: str
    removed: str

    def found(self, root: Path) -> int:
        """How often it stands there."""
        path = root / self.file
        return path.read_text().count(self.text) if path.is_file() else 0

    def apply(self, root: Path) -> str:
        """Takes it out; the file as it was."""
        path = root / self.file
        before = path.read_text()
        path.write_text(before.replace(self.text, self.removed))
        return before


@dataclass(frozen=True, slots=True)
class Defence:
    """One rule. cuts: all that must go for the rule to fall; several where one place stands behind another."""

    id: str
    rule: str
    test: str
    cuts: tuple[Cut, ...]

    @property
    def row(self) -> str:
        return f"| {self.id} | {self.rule} | `{self.cuts[0].file}` | `{self.test}` |"


def defences() -> tuple[Defence, ...]:
    read = tomllib.loads(FILE.read_text())["defence"]
    return tuple(_defence(one) for one in read)


def _defence(one: dict[str, object]) -> Defence:
    also = one.get("also", [])
    assert isinstance(also, list)
    cuts = tuple(Cut(cut["file"], cut["text"], cut["removed"]) for cut in (one, *also))
    return Defence(str(one["id"]), str(one["rule"]), str(one["test"]), cuts)


def table() -> str:
    """Markdown, one line for each."""
    head = "| | What holds | What defends it | The test that shows it |\n| --- | --- | --- | --- |"
    return "\n".join([head, *(one.row for one in defences())])


def write(page: Path) -> None:
    """Puts the table in place of the one in the page."""
    before, _, rest = page.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    page.write_text(f"{before}{_BEGIN}\n\n{table()}\n\n{_END}{after}")


if __name__ == "__main__":
    if "--write" in sys.argv:
        write(ROOT / "docs" / "security.md")
    else:
        print(table())
