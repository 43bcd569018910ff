"""What a line of the shell means: a word of the shell's own, or a command to the sites. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from admin_console.words import OWN_FLAGS
from amon.command import split
from amon.errors import Invalid
from amon.text import did_you_mean, normal_line

OWN = {
    "target": ("target EXPR", "whom the next lines are for; `@EXPR LINE` says one line to others"),
    "sites": ("sites [EXPR]", "how every site is, by presence: nobody is asked"),
    "jobs": ("jobs", "what is under way here, and the last jobs of this console"),
    "job": ("job ID", "what became of a job"),
    "stop": ("stop [ID]", "end a session or a job; `stop all` ends all of them"),
    "run": ("run [OPTIONS] LINE", "say LINE with the options of `amon run`, such as --batch 2 or --timeout 1h"),
    "output": ("output FORMAT", "show results as table, json, jsonl, csv or quiet"),
    "help": ("help [COMMAND]", "this list; of a COMMAND, what the sites say of it"),
    "exit": ("exit", "leave; sessions end, jobs go on at their sites"),
}
_SAME = {"quit": "exit"}


@dataclass(frozen=True, slots=True)
class Said:
    """A line taken apart. target: as typed behind an @, None if the selected one is meant.

    word: one of `OWN`, or empty for a line that goes to the sites as it is in `rest`. beside: it ended with &, so that
    nothing waits for its end.
    """

    word: str = ""
    rest: str = ""
    target: str | None = None
    beside: bool = False


def read(line: str) -> Said | None:
    """None for an empty line or a remark (#). `Invalid` for what no site would read, or a target that never ends."""
    line = normal_line(line)
    if not line or line.startswith("#"):
        return None
    beside = line.endswith(" &")
    line = line[:-2].rstrip() if beside else line
    target = None
    if line.startswith("@"):
        target, line = _addressed(line)
    first, _, rest = line.partition(" ")
    word = _SAME.get(first.lower(), first.lower())
    if word in OWN and (target is None or word == "run"):
        return Said(word, rest.strip(), target, beside)
    return Said("", line, target, beside)


def _addressed(line: str) -> tuple[str, str]:
    """`@cern uptime`, `@(tag:tier=1 and not cern) uptime`, `@job:7Q2K:failed uptime`."""
    if line.startswith("@("):
        (word, *_) = split(line)  # runs to its closing bracket, or says that there is none
        target, rest = line[2 : word.end - 1], line[word.end :].strip()
    else:
        said, _, rest = line.partition(" ")
        target, rest = (said if said.startswith("@job:") else said[1:]), rest.strip()
    if not rest:
        raise Invalid(f"what do you want of {target[:64]}? Say @{target[:64]} COMMAND, or target {target[:64]}")
    return target, rest


def flags_of(line: str) -> tuple[str, frozenset[str]]:
    """The line without --dry-run, --yes and --json, and which of them were there; only before a `--`."""
    found, cuts = set(), []
    for word in split(line):
        if word.text == "--" and not word.quoted:
            break
        if word.text in OWN_FLAGS and not word.quoted:
            found.add(word.text)
            cuts.append((word.start, word.end))
    for start, end in reversed(cuts):
        line = line[:start].rstrip() + " " + line[end:].lstrip()
    return line.strip(), frozenset(found)


def chosen_format(text: str, formats: Sequence[str]) -> str:
    """`Invalid` with the nearest word for what is none."""
    if text not in formats:
        raise Invalid(f"there is no format {text[:32]!r}{did_you_mean(text, list(formats))}; say {', '.join(formats)}")
    return text


def overview() -> list[tuple[str, str]]:
    """The shell's own words and what they do."""
    return [*OWN.values(), ("LINE &", "say it, and do not wait for its end before the next line")]
