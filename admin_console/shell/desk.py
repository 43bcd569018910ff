"""Does what a line of the shell says, on one connection, whoever types it: a person at a prompt, or a script."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from admin_console.api import Console
from admin_console.broadcast import watched
from admin_console.cache import Memory
from admin_console.fleet import hint_at_options, save_outputs, sites_of
from admin_console.keeping import Keeping
from admin_console.program import FORMATS, Output, trouble
from admin_console.run import Run
from admin_console.session import Session, Setup
from admin_console.shell.asking import Asked, asked
from admin_console.shell.kinds import Page
from admin_console.shell.learning import WITHIN, Learner
from admin_console.shell.said import Said, chosen_format, overview, read
from admin_console.shell.seen import Front, Shown
from admin_console.shell.work import Doing, Work
from admin_console.tables import Grid, Listing, one_line
from admin_console.wish import Report, Wish
from amon.errors import Failed, Invalid, Refused
from amon.fields import discreet
from amon.runtime.fleet import Site
from amon.target import All, Expression, Name, unknown_names
from amon.units import age
from amon.words import State

_MANUAL_WAITS = 2.0  # seconds for the page of a command that is typed the first time
_JOBS = 20


class Leave(Exception):
    """Somebody said exit."""


class Desk:
    """target: whom lines without one are for, once one is selected. changed: called when the prompt may differ."""

    def __init__(
        self, console: Console, setup: Setup, front: Front, output: Output, changed: Callable[[], None] = lambda: None
    ) -> None:
        self.target: Expression | None = None
        self.output = output
        self.keep: Callable[[str], None] = lambda line: None
        self.work = Work(changed)
        self._console, self._setup, self._front = console, setup, front
        self._session: Session = replace(console.session, sign=self._sign)
        self.learner = Learner(self._put_question, self._session.clock, setup.cache, self._session.room)

    # What may be looked at

    @property
    def session(self) -> Session:
        return self._session

    def sites(self, target: Expression | None) -> list[Site]:
        """Those that are meant by what is known now; None: all. Of a job that nobody looked up any may be."""
        sites = self._session.sites()
        try:
            return [site for site in sites if target is None or target.matches(site.facts())]
        except Refused:
            return sites

    def memory(self) -> Memory:
        """For completion: the live fleet."""
        fleet = self._session.fleet
        marks = {site.mark for site in fleet.sites.values()}
        return Memory(tuple(fleet.sites), {mark: facts for mark, facts in fleet.known.items() if mark in marks})

    def ids(self) -> list[tuple[str, str]]:
        return [(ident, one_line(doing.line, 60)) for ident, doing in self.work.ids()]

    def jobs(self) -> list[str]:
        from amon.store.look import known_ids

        return known_ids(self._setup.ledger) if self._setup.ledger is not None else []

    async def words(self, sites: Sequence[Site], words: Sequence[str]) -> list[str]:
        return await self.learner.words(sites, words)

    # What a line does

    def enter(self, line: str) -> "asyncio.Task[int] | None":
        """Begin what it says; None: it is done already. Raises what is wrong with it, and `Leave`."""
        said = read(line)
        if said is None:
            return None
        if said.word in ("target", "stop", "output", "exit") or (said.word == "help" and not said.rest):
            self.keep(line)
            self._at_once(said)
            return None
        doing = Doing(line, said.beside)
        return self.work.put(doing, lambda: self._guarded(self._later(said, doing, self._target_of(said))))

    def tell(self, error: Exception) -> int:
        """One clear line, and the exit code; to a program that reads JSON in its own way, too."""
        text, code = trouble(error)
        face = self._front.face(self.output)
        face.note(f"amon: {discreet(text)}")
        if not self._front.can_ask and self.output.format in ("json", "jsonl"):
            face.out.write(json.dumps({"error": discreet(text), "exit": code}) + "\n")
            face.out.flush()
        return code

    def _at_once(self, said: Said) -> None:
        if said.word == "exit":
            raise Leave
        if said.word == "stop":
            for doing in self.work.meant(said.rest):
                doing.stop()
        elif said.word == "output":
            self.output = Output(chosen_format(said.rest, FORMATS), self.output.color)
        elif said.word == "target":
            self.select(said.rest)
        else:
            face = self._front.face(Output())
            face.grid(Grid(("say", "to"), tuple(overview())))
            face.note("every other line goes to the selected sites; help COMMAND tells what they say of it")

    def select(self, text: str) -> None:
        if not text:
            raise Invalid("target what? For example: target all, target tag:tier=1, target cern,fnal")
        target = self._meant(text)
        unknown = unknown_names(target, self._session.fleet.facts())
        if unknown:
            near = [f"did you mean {' or '.join(found)}?" for found in unknown.values() if found]
            raise Refused("; ".join((f"no site named {', '.join(map(one_line, unknown))}", *near)))
        self.target = target

    def _meant(self, text: str) -> Expression:
        from admin_console.jobs.naming import meant

        return meant(text, self._setup.ledger)

    def _target_of(self, said: Said) -> Expression | None:
        """Frozen when the line is typed: what is selected later is for later lines."""
        return self._meant(said.target) if said.target is not None else self.target

    async def _guarded(self, work: Coroutine[Any, Any, int]) -> int:
        try:
            return await work
        except BrokenPipeError:
            raise
        except Exception as error:
            return self.tell(error)

    async def _later(self, said: Said, doing: Doing, target: Expression | None) -> int:
        if said.word == "sites":
            self.keep(doing.line)
            return await self._show_sites(self._meant(said.rest) if said.rest else target or All())
        if said.word == "jobs":
            self.keep(doing.line)
            return await self._show_jobs()
        if said.word == "job":
            self.keep(doing.line)
            return await self._show_job(said.rest, doing)
        if said.word == "help":
            return await self._help(said.rest, doing, target)
        return await self._say(asked(said.rest, said.word == "run"), doing, target)

    async def _say(self, what: Asked, doing: Doing, target: Expression | None) -> int:
        from admin_console.jobs.detach import check

        if target is None:
            raise Invalid("no target is selected; say target EXPR first (target all means every site), or @EXPR LINE")
        page = await self._manual(target, what.words)
        if page is not None and not page.secret:
            self.keep(doing.line)
        wish = what.wish(target, page)
        check(wish, self._session.clock.time(), detach=False)
        report = await self._run(wish, doing, what.format, written=page is None or not page.secret)
        if what.save is not None:
            face = Shown(self._front, self.output, doing, self.work)
            report = await save_outputs(self._session, report, what.save, face, doing.interrupts)
        return int(report.exit)

    async def _run(self, wish: Wish, doing: Doing, form: str | None = None, *, written: bool = True) -> Report:
        """written: into the book of jobs, which has lines as they were typed."""
        run = Run(self._session, wish, Keeping(self._console.ledger if written else None, self._session))
        return await self._watch(run, doing, form)

    async def _watch(self, run: Run, doing: Doing, form: str | None = None) -> Report:
        output = self.output if form is None else Output(form, self.output.color)
        face = Shown(self._front, output, doing, self.work)
        report = await watched(run, face, doing.interrupts)
        hint_at_options(face, report)
        return report

    async def _manual(self, target: Expression, words: Sequence[str]) -> Page | None:
        """What the sites say of this command; nobody waits long for it."""
        sites = self.sites(target)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_MANUAL_WAITS):
                return await self.learner.page(sites, words)
        return None

    async def _help(self, about: str, doing: Doing, target: Expression | None) -> int:
        """Of one site: a hundred manuals that are alike help nobody."""
        there = sorted((site for site in self.sites(target) if site.online and "@" not in site.name), key=_name)
        if not there:
            raise Refused("no site that is meant is there to be asked; next: sites")
        page = await self._manual(Name(there[0].name), about.split())
        if page is not None and not page.secret:
            self.keep(doing.line)
        return int((await self._run(Wish(Name(there[0].name), f"help {about}"), doing)).exit)

    async def _show_sites(self, target: Expression) -> int:
        await self.refresh()
        await sites_of(self._session, self._front.face(self.output), target)
        return 0

    async def _show_jobs(self) -> int:
        from admin_console.jobs.courier import is_running
        from admin_console.jobs.listing import jobs_listing

        now = time.monotonic()
        here = [
            (ident, one_line(doing.line, 60), "session" if doing.streams else "job", age(now - doing.began))
            for ident, doing in self.work.ids()
        ]
        records = [dict(zip(("id", "line", "kind", "since"), row, strict=True)) for row in here]
        face = self._front.face(self.output)
        if here and self.output.format == "table":
            face.listing(Listing("under_way", records, Grid(("under way", "line", "kind", "since"), tuple(here))))
        ledger, path = self._console.ledger, self._setup.ledger
        if ledger is None or path is None:
            raise Refused("this console keeps no book of jobs")
        face.listing(await jobs_listing(ledger, _JOBS, courier=is_running(path)))
        return 0

    async def _show_job(self, rest: str, doing: Doing) -> int:
        from admin_console.jobs.earlier import once_more, taken_up

        ident, *flags = rest.split() or [""]
        if not ident or set(flags) - {"--follow", "--retry-failed"} or len(flags) > 1:
            raise Invalid("say job ID, job ID --follow or job ID --retry-failed; next: jobs")
        ledger = self._console.ledger
        if ledger is None:
            raise Refused("this console keeps no book of jobs")
        if flags == ["--retry-failed"]:
            return int((await self._run(await once_more(ledger, ident), doing)).exit)
        run = await taken_up(self._session, ledger, ident, follow=flags == ["--follow"])
        return int((await self._watch(run, doing)).exit)

    # Beside it

    async def refresh(self) -> None:
        """Who belongs to the fleet now, and the tags of those that are new."""
        session = self._session
        members = await session.connection.members(session.room)
        ours, elsewhere = session.connection.account, self._setup.cache.elsewhere(session.room)
        await session.fleet.enter((member.jid for member in members if member.jid != ours), elsewhere)
        await session.fleet.look_up()

    async def close(self, within: float = 2.0) -> None:
        await self.work.end(within)
        await self.learner.close()
        from admin_console.jobs.courier import take_over

        await take_over(self._setup, self._console.ledger, self._front.face(Output()).note)

    async def _put_question(self, site: Site, line: str) -> str | None:
        """For completion: no part of it is shown, and no book has it."""
        try:
            report = await Run(self._session, Wish(Name(site.name), line, WITHIN, WITHIN)).finish()
        except (Failed, Refused):
            return None
        (row,) = report.book.rows()
        return row.outcome.answer.text if row.state is State.done and row.outcome is not None else None

    async def _sign(self, message: bytes, namespace: str) -> str:
        async with self._front.apart():
            return await self._console.session.sign(message, namespace)


def _name(site: Site) -> str:
    return site.name
