"""What may come next in a target or a command, from what was learnt before: no server is asked while somebody types."""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from admin_console.cache import Cache, Memory
from admin_console.words import OWN_FLAGS

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from admin_console.shell.kinds import Kind

_WORD = re.compile(r"[^\s(),]*$")
# The shell puts in what is proposed as it is, and sites chose these words: none may mean anything to a shell.
_PLAIN = re.compile(r"[a-zA-Z0-9_.:=@/+-]{1,200}")
_HEALTH = ("ok", "warn", "crit", "unknown", "maint")


def complete_target(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """For click's `shell_complete`."""
    from admin_console.jobs.naming import job_words, known_here

    found = targets(incomplete, Cache().everything())
    word = _WORD.search(incomplete)
    assert word is not None  # it fits an empty text too
    if word[0].startswith("@"):
        found += [incomplete[: word.start()] + term for term in job_words(word[0], known_here())]
    return found


def complete_site(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The same where one site is meant, and no target."""
    return [name for name in Cache().everything().names if name.startswith(incomplete) and _PLAIN.fullmatch(name)]


def complete_command(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The words of COMMAND behind a target, as far as `amon shell` has learnt them from sites."""
    return commands(list(ctx.params.get("command") or ()), incomplete, Cache().all_learnt())


class Commanded(click.Command):
    """Behind the target options are those of the sites' commands, and no longer ours."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem[str]]":
        from click.shell_completion import CompletionItem

        if ctx.params.get("target") is None:
            return super().shell_complete(ctx, incomplete)
        if incomplete.startswith("@"):
            return [CompletionItem(f"@{name}") for name in named(incomplete[1:], Cache().everything().names)]
        found = commands(list(ctx.params.get("command") or ()), incomplete, Cache().all_learnt())
        return [CompletionItem(word) for word in found]


def named(beginning: str, names: Sequence[str]) -> list[str]:
    """Sites that a word of a command may name: `probe ping @desy`."""
    return [name for name in ("all", *names) if name.startswith(beginning) and _PLAIN.fullmatch(name)]


def commands(words: Sequence[str], incomplete: str, kinds: "Iterable[Kind]") -> list[str]:
    """What may come after these words at a site of any kind."""
    found: dict[str, None] = {}
    for kind in kinds:
        line, command = kind.question(words), kind.command_of(words)
        found.update(dict.fromkeys(kind.words.get(line, ()) if line is not None else ()))
        page = kind.pages.get(command) if command is not None else None
        found.update(dict.fromkeys(f"--{name}" for name in (page.params if page is not None else ())))
    known = [*found, *OWN_FLAGS]
    return [one for one in known if one.startswith(incomplete) and _PLAIN.fullmatch(one)]


def targets(incomplete: str, memory: Memory) -> list[str]:
    """Whole words that begin like the last one; what stands before it is kept."""
    match = _WORD.search(incomplete)
    assert match is not None  # it fits an empty text too
    before, word = incomplete[: match.start()], match[0].lower()
    tags = memory.tags
    known = [
        "all",
        *memory.names,
        *(f"health:{level}" for level in _HEALTH),
        *(f"module:{module}" for module in memory.modules),
        *sorted({f"tag:{tag.partition('=')[0]}" for tag in tags}),
        *(f"tag:{tag}" for tag in tags),
    ]
    return [before + one for one in known if one.startswith(word) and _PLAIN.fullmatch(one)]
