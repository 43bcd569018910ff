"""What one can ask the hub, one to one. It asks no site: it knows what presence says and what it has gathered."""

from collections.abc import Callable, Mapping, Sequence

from admin_console.hub import words
from admin_console.hub.line import TypedLine
from admin_console.hub.picture import fleet_picture, said_of
from admin_console.tables import health_word, one_line, worst_first
from amon.clock import Clock
from amon.command.answer import aligned
from amon.errors import Invalid
from amon.ids import short
from amon.runtime.fleet import Site
from amon.target import Expression, parse, select, unknown_names
from amon.text import did_you_mean, normal_line
from amon.units import age

_MOST = 400  # lines
_HELP = """\
I am {jid}, the fleet of {room} as one contact.
status              how the fleet is; nobody is asked
status SITE|TARGET  how these sites are: status cern, status tag:tier=1, status health:crit
sites               all of them, the worst first
jobs                the lines of yours whose answers I have collected
details [ID] [SITE] all that the sites said to the last of them, or to that one
slots               who holds which slot
more                the rest of what I said last
For sites there is the room: what is typed there for several sites I sum up, like {prefix}uptime @all"""
_WORDS = ("status", "sites", "jobs", "details", "slots", "help", "more")


class Talk:
    """sites, slots: as they are now. lines: those whose answers were collected, the oldest first."""

    def __init__(
        self,
        jid: str,
        room: str,
        prefix: str,
        clock: Clock,
        sites: Callable[[], Sequence[Site]],
        lines: Mapping[str, TypedLine],
        slots: Callable[[], list[str]],
    ) -> None:
        self._jid, self._room, self._prefix, self._clock = jid, room, prefix, clock
        self._sites, self._lines, self._slots = sites, lines, slots

    def answer(self, asker: str, text: str) -> str:
        """What is said to a line of somebody who may command. asker: bare address; others' jobs are not his."""
        try:
            line = normal_line(text).removeprefix(self._prefix).strip()
            word, _, rest = line.partition(" ")
            return self._answer(asker, word.lower(), rest.strip(), line)
        except Invalid as wrong:
            return wrong.pointed()

    def _answer(self, asker: str, word: str, rest: str, line: str) -> str:
        if word == "status":
            return self._status_of(parse(rest.removeprefix("@"))) if rest else self._status()
        if word == "details":
            return self._details(asker, rest.split())
        if rest or word not in _WORDS:
            return self._not_mine(word, line)
        if word == "sites":
            return self._table(self._sites())
        if word == "jobs":
            mine = self._of(asker)
            now = self._clock.monotonic()
            count = f"{len(mine)} job{'s' if len(mine) > 1 else ''}" if mine else "I collected nothing for you"
            return "\n".join([count, *_jobs(mine, now)])
        if word == "slots":
            return "\n".join(["slots:", *lines] if (lines := self._slots()) else ["no slot is held or wanted"])
        return _HELP.format(jid=self._jid, room=self._room, prefix=self._prefix)

    def _status(self) -> str:
        sites = self._sites()
        picture = fleet_picture(sites)
        bad = {one.name for one in picture.troubles}
        head = picture.status.partition(":")[0]
        return "\n".join([head, *_rows([site for site in sites if site.name in bad], self._clock.time())])

    def _status_of(self, target: Expression) -> str:
        sites = {site.name: site for site in self._sites()}
        facts = [site.facts() for site in sites.values()]
        unknown = unknown_names(target, facts)
        if unknown:
            name, near = next(iter(unknown.items()))
            return f"no site named {one_line(name, 64)}{f'; did you mean {near[0]}?' if near else '; say sites'}"
        meant = [sites[name] for name in select(target, facts) if name in sites]
        if not meant:
            return f"{target} fits none of {len(sites)} sites"
        return self._one(meant[0]) if len(meant) == 1 else self._table(meant)

    def _table(self, sites: Sequence[Site]) -> str:
        head = fleet_picture(sites).status.partition(":")[0]
        return "\n".join([head, *_rows(sites, self._clock.time())])

    def _one(self, site: Site) -> str:
        since = f" for {age(max(0.0, self._clock.time() - site.changed))}" if site.changed is not None else ""
        lines = [f"{site.name}: {health_word(site)}{since}, {said_of(site)}"]
        bad = site.health.bad if site.health is not None else ()
        lines += [f"{one_line(name, 100)}: {one_line(level, 20)} {one_line(state, 60)}" for name, level, state in bad]
        known = (
            ("agent", site.agent),
            ("modules", ", ".join(site.health.modules) if site.health is not None else ""),
            ("tags", ", ".join(f"{name}={value}" for name, value in sorted(site.tags.items()))),
        )
        lines += [f"{name}: {one_line(value)}" for name, value in known if value]
        return "\n".join([*lines, f"ask it itself: write to {site.jid}"])

    def _details(self, asker: str, said: list[str]) -> str:
        mine = self._of(asker)
        if not mine:
            return f"I collected nothing for you; say it in the room, like {self._prefix}uptime @all"
        found = [line for line in mine if said and line.typed.id.endswith(said[0].upper())]
        if said and not found and len(said) == 1 and said[0].lower() in mine[-1].book:
            return words.details(mine[-1], [said[0].lower()])
        if said and len(found) != 1:
            which = ", ".join(short(line.typed.id) for line in mine[-8:])
            return f"no job of yours ends in {one_line(said[0], 26)}; there are {which}; say jobs"
        line = found[0] if found else mine[-1]
        sites = [one.lower().strip(",@") for one in said[1:]]
        missing = [one for one in sites if one not in line.book and one not in line.besides]
        if missing:
            return f"{one_line(missing[0], 64)} was not asked{did_you_mean(missing[0], line.book.names)}"
        return words.details(line, sites)

    def _of(self, asker: str) -> list[TypedLine]:
        return [line for line in self._lines.values() if line.typed.asker == asker]

    def _not_mine(self, word: str, line: str) -> str:
        """What it cannot do, with the next step."""
        if word in ("yes", "cancel"):
            return f"say it in the room {self._room}: {self._prefix}{one_line(line, 40)}"
        meant = did_you_mean(word, _WORDS) if word not in _WORDS else ""
        shown = f"{one_line(word, 40) or 'uptime'}{' ...' if ' ' in line else ''}"  # the rest may be a secret
        step = f"say it in the room {self._room}: {self._prefix}{shown} @all; I collect the answers"
        return f"I ask no site for anybody{meant}; {step}; help tells what I can"


def _rows(sites: Sequence[Site], now: float) -> list[str]:
    lines = [
        (
            site.name,
            health_word(site),
            said_of(site),
            f"{age(max(0.0, now - site.changed))} ago" if site.changed else "",
        )
        for site in worst_first(list(sites))
    ]
    return aligned(lines, (False, False, False, False)).split("\n")[:_MOST] if lines else []


def _jobs(lines: Sequence[TypedLine], now: float) -> list[str]:
    return [words.told_job(line, now) for line in reversed(lines)]
