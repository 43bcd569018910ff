"""amon for scripts: ask sites, and have every one of them answer. The command line stands on the same.

    async with Console() as console:
        async for outcome in console.run("tag:tier=2", "service restart httpd", yes=True):
            print(outcome.site, outcome.state, outcome.answer.data)

Errors are `Failed` (the server, the network, a file; the text names the next step), `Refused` (the target fits no site:
`NobodyMeant`) and `Invalid` (the words are wrong). That a site fails or is silent is no error but its outcome.
"""

import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType

from admin_console.jobs.naming import meant
from admin_console.keeping import Keeping
from admin_console.run import Ask, Question, Run, Unasked, nobody
from admin_console.session import Session, Setup, in_fleet
from admin_console.settings import default_path, load
from admin_console.wish import NobodyMeant, Report, Rolling, Wish, chosen
from amon.command import split
from amon.errors import Failed
from amon.runtime.fleet import Site
from amon.store.ledger import KeptJob, Ledger
from amon.target import Expression

__all__ = ["Ask", "Console", "NobodyMeant", "Question", "Report", "Rolling", "Run", "Site", "Unasked", "Wish"]


class Console:
    """One connection and the fleet behind it, for the length of `async with`; jobs run side by side on it."""

    def __init__(
        self,
        config: Path | str | None = None,
        *,
        setup: Setup | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """config: a console.toml; else $AMON_CONFIG or the usual one. setup: instead of it, settings read before.

        say: is told lines that are no result, such as that the book of jobs cannot be written.
        """
        self.ledger: Ledger | None = None
        self._config = Path(config or os.environ.get("AMON_CONFIG") or default_path())
        self._setup = setup
        self._say = say
        self._book: Path | None = None
        self._open = AsyncExitStack()
        self._session: Session | None = None

    async def __aenter__(self) -> "Console":
        setup = self._setup = self._setup or Setup.of(load(self._config), self._config)
        self._book = setup.ledger
        if setup.ledger is not None:
            self.ledger = await self._open.enter_async_context(Ledger.open(setup.ledger, self._say))
        try:
            self._session = await self._open.enter_async_context(in_fleet(setup))
        except BaseException:
            await self._open.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session = None
        await self._open.__aexit__(kind, error, trace)

    @property
    def session(self) -> Session:
        assert self._session is not None, "a console is used inside its `async with`"
        return self._session

    async def sites(self, target: str | Expression = "all") -> list[Site]:
        """The sites that are meant as their presence shows them now, by name; nobody is asked."""
        await self.session.fleet.look_up()
        return [self.session.fleet.sites[name] for name in await chosen(self.session, self._expression(target))]

    def run(
        self,
        target: str | Expression,
        line: str,
        *,
        deadline: float = 30.0,
        accept_by: float = 5.0,
        dry_run: bool = False,
        yes: bool = False,
        sign: bool = False,
        rolling: Rolling = Rolling(),  # noqa: B008 it is frozen
        queue_until: float | None = None,
        lasts: float | None = None,
        ask: Ask = nobody,
    ) -> Run:
        """Say `line` to every site that is meant. Iterate over what comes back, or wait for `finish`.

        deadline, accept_by: seconds, see `Wish`. yes: change several sites without asking; else `ask` is asked, and
        where nobody is there to be asked nothing is done. sign: with the key of the configuration, from the start.
        rolling: in batches, a canary first, a sample of them. queue_until: epoch seconds, for sites that are offline.
        lasts: seconds after which sessions of streaming commands are ended.
        """
        accept_by = min(accept_by, deadline)
        wish = Wish(
            self._expression(target), line, deadline, accept_by, dry_run, yes, sign, rolling, queue_until, lasts
        )
        made = self.wished(wish)
        made.ask = ask
        return made

    def wished(self, wish: Wish, *, detached: bool = False) -> Run:
        """The same where what is wanted was put together before. detached: nobody waits for its end."""
        return Run(self.session, wish, Keeping(self._book_for(wish.line), self.session, detached=detached))

    async def job(self, ident: str, *, follow: bool = False) -> Run:
        """A job that was begun before, by the end of its id: sites that have not said their end are asked for it.

        follow: wait until every site has said it, and begin those whose turn has not come. `Refused` where no job or
        several jobs end so, or somebody else asked.
        """
        from admin_console.jobs.earlier import taken_up

        return await taken_up(self.session, self._kept(), ident, follow=follow)

    async def jobs(self, most: int = 20) -> list[KeptJob]:
        """The last jobs of this console, newest first, as its book has them; nobody is asked."""
        return await self._kept().recent(most)

    def _book_for(self, line: str) -> Ledger | None:
        """None for a line with a secret in it, as far as manuals of sites tell: lines are kept as they were typed."""
        assert self._setup is not None
        words = [word.text for word in split(line)]
        kinds = self._setup.cache.learnt(self._setup.settings.room).values() if self.ledger is not None else ()
        pages = [kind.pages.get(kind.command_of(words) or "") for kind in kinds]
        if not any(page is not None and page.secret for page in pages):
            return self.ledger
        self._say("there is a secret in this line, so the job is not kept: nobody can ask for it again by its id")
        return None

    def _kept(self) -> Ledger:
        if self.ledger is None:
            raise Failed("this console keeps no book of jobs")
        return self.ledger

    def _expression(self, target: str | Expression) -> Expression:
        return meant(target, self._book) if isinstance(target, str) else target
