"""Every line of `amon` and `amon-agent` in the README and in docs/ is one that the program understands."""

import re
import shlex
from pathlib import Path

import click
import pytest

from admin_console.cli.main import cli

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_ENDS = {"|", ">", ">>", "<", "&&", "||", ";", "&"}


def lines(page: Path) -> list[str]:
    """What stands in fences, and begins with `amon ` or a prompt and it."""
    fences = re.findall(r"^```(?:sh|console|bash)?\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    joined = "\n".join(fences).replace("\\\n", " ")
    return [match[1] for match in re.finditer(r"^(?:\$ )?(amon [^\n]*)$", joined, flags=re.MULTILINE)]


def words(line: str) -> list[str]:
    """Those of the first command of the line."""
    found = shlex.split(line, comments=True)[1:]
    end = next((place for place, word in enumerate(found) if word in _ENDS), len(found))
    return found[:end]


LINES = [pytest.param(line, id=f"{page.name}: {line[:60]}") for page in PAGES for line in lines(page)]


@pytest.mark.parametrize("line", LINES)
def test_is_understood(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsed down to its command, and not run."""
    monkeypatch.chdir(tmp_path)
    for word in words(line):
        if word.endswith(".pub"):  # a key of the reader's
            (tmp_path / word).touch()
    context = cli.make_context("amon", words(line))
    command: click.Command = cli
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        if not rest:
            return  # only the name of a group: its help
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
        context = command.make_context(name, rest, parent=context)


def test_there_are_lines_in_the_readme() -> None:
    assert len(lines(PAGES[0])) > 8
