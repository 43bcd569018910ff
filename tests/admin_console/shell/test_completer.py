"""What the prompt proposes: from a view that stands still, without sites."""

import asyncio
from collections.abc import Sequence

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from admin_console.cache import Memory
from admin_console.shell.completer import ShellCompleter
from admin_console.shell.kinds import Kind
from amon.runtime.fleet import Site
from amon.target import Expression, parse
from amon.text import hidden
from tests.admin_console.shell.test_kinds import vault
from tests.admin_console.test_hostile_words import EVIL

MEMORY = Memory(("cern", "cesnet", "fnal"), {"m1": {"tag": ("tier=1",), "module": ("service",)}})


class View:
    """The words of one kind, and whom they were wanted from."""

    def __init__(self, kind: Kind | None = None) -> None:
        self.target: Expression | None = parse("all")
        self.kind = kind or vault()
        self.kind.heard_words("service restart ", "httpd\nnginx\na b")
        self.wanted: list[str] = []
        self.hangs = False

    def memory(self) -> Memory:
        return MEMORY

    def sites(self, target: Expression | None) -> Sequence[Site]:
        self.wanted.append(str(target))
        return ()

    def ids(self) -> Sequence[tuple[str, str]]:
        return [("7Q2K", "service restart httpd")]

    def jobs(self) -> Sequence[str]:
        return ["0" * 22 + "AB3D", "0" * 22 + "AB4D"]

    async def words(self, sites: Sequence[Site], words: Sequence[str]) -> list[str]:
        if self.hangs:
            await asyncio.Event().wait()
        line = self.kind.question(words)
        return list(self.kind.words.get(line, ())) if line is not None else []


async def proposed(text: str, view: View | None = None) -> list[str]:
    """The line as it would be with each proposal taken."""
    completer = ShellCompleter(view or View())
    found = completer.get_completions_async(Document(text), CompleteEvent())
    return [text[: len(text) + one.start_position] + one.text async for one in found]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("ta", ["target"]),
        ("target ce", ["target cern", "target cesnet"]),
        ("target not (cern,f", ["target not (cern,fnal"]),
        ("sites health:c", ["sites health:crit"]),
        ("target tag:t", ["target tag:tier", "target tag:tier=1"]),
        ("output j", ["output json", "output jsonl"]),
        ("stop ", ["stop 7Q2K", "stop all"]),
        ("job 7", ["job 7Q2K"]),
        ("job A", ["job AB3D", "job AB4D"]),
        ("@jo", ["@job:AB3D", "@job:AB4D"]),
        ("@job:AB3D:f", ["@job:AB3D:failed"]),
        ("target @job:AB4D:l", ["target @job:AB4D:lost"]),
        ("@job:AB3D:failed service re", ["@job:AB3D:failed service restart"]),
        ("up", ["uptime"]),
        ("s", ["sites", "stop", "service", "status"]),
        ("service re", ["service restart"]),
        ("service restart h", ["service restart httpd"]),
        ("service restart a", ['service restart "a b"']),
        ("restart h", []),
        ("restart  h", []),
        ("vault put --d", ["vault put --dry-run"]),
        ("help ser", ["help service"]),
        ("run service re", ["run service restart"]),
        ("@ce", ["@cern", "@cesnet"]),
        ("@(tag:tier=1 and f", ["@(tag:tier=1 and fnal"]),
        ("@(not c", ["@(not cern", "@(not cesnet"]),
        ("@cern service re", ["@cern service restart"]),
        ("@(cern) up", ["@(cern) uptime"]),
        ("probe ping @c", ["probe ping @cern", "probe ping @cesnet"]),
        ("@fnal probe ping @c", ["@fnal probe ping @cern", "@fnal probe ping @cesnet"]),
        ("run --batch 2 probe ping @a", ["run --batch 2 probe ping @all"]),
        ("exit ", []),
        ("vault put 'my own words h", []),
        ("nosuch h", []),
    ],
)
async def test_each_part_of_a_line_has_its_proposals(text: str, lines: list[str]) -> None:
    found = await proposed(text)
    if text.startswith("restart"):  # the short form of `service restart`
        assert found == [f"{text[:-1]}httpd"]
    else:
        assert found == lines


async def test_the_sites_that_are_asked_are_those_the_line_is_for() -> None:
    view = View()
    await proposed("service re", view)
    await proposed("@fnal service re", view)
    await proposed("@(tag:tier=1 and cern) service re", view)
    assert view.wanted == ["all", "fnal", "tag:tier=1 and cern"]


async def test_the_prompt_does_not_wait_for_a_site_that_hangs() -> None:
    view = View()
    view.hangs = True
    completer = ShellCompleter(view, waits=0.01)
    found = completer.get_completions_async(Document("s"), CompleteEvent())
    async with asyncio.timeout(5):
        assert [one.text async for one in found] == ["sites", "stop"]


async def test_what_sites_call_their_things_is_shown_only_if_it_is_safe() -> None:
    kind = Kind()
    kind.heard_words("", f"{EVIL}\nfine\n\x1b]0;owned\x07\n$(reboot)")
    completer = ShellCompleter(View(kind))
    found = [one async for one in completer.get_completions_async(Document(""), CompleteEvent())]
    shown = [part for one in found for part in (one.text, one.display_text, one.display_meta_text)]
    assert "fine" in shown
    assert not any(hidden(character) for text in shown for character in text)
    assert "$(reboot)" in shown, "no shell reads this line"
