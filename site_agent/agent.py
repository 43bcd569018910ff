"""The agent: accounts, instances and the journal in one task group. No globals: ten of them live in one process.

The process around it (signals, readiness, exit codes) is `process.py`; what it is told to be is a `Configuration`.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

from amon.access.bundle import BadBundle, Bundle
from amon.access.window import shown
from amon.clock import Clock, SystemClock
from amon.errors import Refused
from amon.health import Health
from amon.runtime.account import Account, Connect, View
from amon.runtime.clocks import in_doubt, watch_clock
from amon.runtime.incoming import Door
from amon.runtime.node import Node
from amon.runtime.sinks import SOCKETS, Sinks
from amon.store import Journal
from amon.xmpp.connection import Connection
from amon.xmpp.events import Listener
from amon.xmpp.login import Times
from amon.xmpp.tls import Renewed, Source, always, tls_context
from site_agent.configuration import AccountPlan, Configuration
from site_agent.policies import accept_bundle, authority_of, policy_health, watch_policy
from site_agent.reload import Changes, difference
from site_agent.rotate import Rotation, logs_in

_SETTLE_WITHIN = 3.0  # seconds that instances have before the first presence; the slow ones show as starting


class Agent:
    """`async with Agent(configuration).running():` and it is there; it is gone when the block ends."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        clock: Clock | None = None,
        random: Random | None = None,
        sockets: Mapping[str, Path] = SOCKETS,
        times: Times | None = None,
    ) -> None:
        """times: the waits of its connections, where they are not the usual ones."""
        self.configuration = configuration
        self._sockets = sockets
        self._times = times
        self._state = configuration.settings.state  # of this life: a reload does not move it
        self.accounts: dict[str, Account] = {}
        self._clock = clock or SystemClock()
        self._random = random or Random()
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._contexts: dict[tuple[Path | None, bytes, Path | None, Path | None], Source] = {}
        self._log = logging.getLogger("amon.agent")
        self.node: Node
        self._sinks: Sinks

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Agent"]:
        """Started when the block begins. On the way out: accounts say goodbye, instances stop, the journal closes."""
        state = self._state
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with Journal.open(state / "journal.db") as journal, asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self.node = Node(tasks, journal, self._clock, state, self._clock_in_doubt)
            self._audit_to(self.configuration)
            await self.node.start(self.configuration.specs)
            await self._wait_settled()
            for plan in self.configuration.accounts:
                self._start(plan)
            try:
                yield self
            finally:
                await self._stop(list(self._lives))
                await self.node.stop()
                self._sinks.close()

    async def wait_online(self) -> None:
        """Until every account has a session."""
        for account in list(self.accounts.values()):
            await account.connection.wait_online()

    async def reload(self, wanted: Configuration) -> Changes:
        """Become what `wanted` says; stops and starts only what is different, and tells what that was.

        Raises `Failed`, before anything is changed, for what could not be taken over.
        """
        changes = difference(self.configuration, wanted)
        for plan in wanted.accounts:
            self._context(plan)
        await self._stop(changes.stop_accounts)
        specs = {spec.name: spec for spec in wanted.specs}
        await self.node.change(changes.stop_instances, [specs[name] for name in changes.start_instances])
        self.configuration = wanted
        if changes.audit:
            self._sinks.close()
            self._audit_to(wanted)
        for plan in wanted.accounts:
            if plan.name in changes.start_accounts:
                self._start(plan)
            elif plan.name in changes.update_accounts:
                self.accounts[plan.name].show(self._view(plan), wanted.settings.tags)
        self.node.trouble("configuration", None)
        return changes

    def accept_bundle(self, account: str, text: bytes, sig: str) -> Bundle:
        """Obey a policy of the whole fleet from now on; all that waits here is judged by it.

        Raises `BadBundle` for one that is not taken and `Failed` if it cannot be kept; then nothing has changed.
        """
        (plan,) = [one for one in self.configuration.accounts if one.name == account]
        bundle = accept_bundle(
            text,
            sig,
            state=self._state,
            account=account,
            organisation=plan.law.organisation,
            rooms=plan.login.rooms,
            now=self._clock.time(),
        )
        self.accounts[account].show(self._view(plan), self.configuration.settings.tags)
        return bundle

    def _accept(self, account: str, text: bytes, sig: str) -> str:
        try:
            bundle = self.accept_bundle(account, text, sig)
        except BadBundle as bad:
            raise Refused(f"the policy was not taken over: {bad}") from None
        return f"policy {bundle.serial} is in force until {shown(bundle.expires)}"

    def keep(self, why: str) -> None:
        """Stay what it is, because a new configuration is no good; everybody who sees this site sees that."""
        self.node.trouble("configuration", Health.fair(why, state="refused"))

    def _clock_in_doubt(self) -> bool:
        return in_doubt((account.door, account.connection.online) for account in self.accounts.values())

    def _audit_to(self, configuration: Configuration) -> None:
        self._sinks = Sinks(configuration.settings.audit_to, self.node.trouble, self._clock, self._sockets)
        self.node.journal.audit_to(self._sinks)

    def _start(self, plan: AccountPlan) -> None:
        account = Account(
            plan.login.jid,
            self._view(plan),
            self.node,
            self.configuration.settings.tags,
            self._connect(plan),
            self._clock,
            self._random,
            sign=plan.signing.sign if plan.signing else None,
            key=plan.signing.public.line if plan.signing else "",
            accept=partial(self._accept, plan.name),
        )
        self.accounts[plan.name] = account
        self._lives[plan.name] = self._tasks.create_task(self._live(plan, account), name=f"account {plan.name}")

    async def _live(self, plan: AccountPlan, account: Account) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(account.run(), name=f"session of {plan.name}")
            watching = watch_clock(account.door, account.connection, self._clock, self.node.trouble)
            tasks.create_task(watching, name=f"clock of {plan.name}")
            ageing = watch_policy(account.door, self._clock, self.node.trouble)
            tasks.create_task(ageing, name=f"policy of {plan.name}")
            if plan.keep is not None:
                tasks.create_task(self._rotation(plan, account).run(), name=f"password of {plan.name}")

    def _rotation(self, plan: AccountPlan, account: Account) -> Rotation:
        assert plan.keep is not None
        keep, context = plan.keep, self._context(plan)()
        # A certificate would open the door whatever the password is.
        login = replace(plan.login, certificate=None, certificate_key=None)

        def changed(new: str) -> None:
            """A reload that finds the new one in the file must not take it for a reason to log in anew."""
            spare = keep.files.spare(os.geteuid())
            accounts = (
                replace(one, login=replace(one.login, password=new, spare=spare)) if one.name == plan.name else one
                for one in self.configuration.accounts
            )
            self.configuration = replace(self.configuration, accounts=tuple(accounts))

        return Rotation(
            keep,
            (login.password, *login.spare),
            account.connection,
            lambda password: logs_in(login, password, context),
            told=lambda health: self.node.trouble(f"password-{plan.name}", health),
            changed=changed,
            clock=self._clock,
            random=self._random,
        )

    async def _stop(self, names: "list[str] | tuple[str, ...]") -> None:
        """Say goodbye together, not one after the other."""
        lives = [self._lives.pop(name) for name in names if name in self._lives]
        for life in lives:
            life.cancel()
        if lives:
            await asyncio.wait(lives)
        for name in names:
            self.accounts.pop(name, None)
            for kind in ("policy", "clock", "password"):
                self.node.trouble(f"{kind}-{name}", None)

    async def _wait_settled(self) -> None:
        try:
            async with asyncio.timeout(_SETTLE_WITHIN):
                await self.node.wait_settled()
        except TimeoutError:
            self._log.warning("not every instance has started within %g s", _SETTLE_WITHIN)

    def _connect(self, plan: AccountPlan) -> Connect:
        context, trace = self._context(plan), self.configuration.settings.trace

        def connect(listener: Listener) -> Connection:
            return Connection(
                plan.login,
                listener,
                context=context,
                random=self._random,
                clock=self._clock,
                times=self._times,
                trace=trace,
            )

        return connect

    def _context(self, plan: AccountPlan) -> Source:
        """Building one reads the authorities: 37 ms and 0.9 MB that accounts with the same trust share."""
        own, key = plan.login.certificate, plan.login.certificate_key
        trust = plan.ca_file, plan.trust, own, key
        if trust not in self._contexts:
            self._contexts[trust] = (
                always(tls_context(plan.ca_file)) if own is None else Renewed(plan.ca_file, own, key)
            )
        return self._contexts[trust]

    def _view(self, plan: AccountPlan) -> View:
        authority = authority_of(plan.law, plan.login.domain, self._state, plan.name)
        if authority.closed:
            self._log.error("account %s: %s", plan.name, authority.closed)
        self.node.trouble(f"policy-{plan.name}", policy_health(authority, self._clock.time()))
        door = Door(plan.name, authority, plan.login.jid, frozenset(plan.login.rooms))
        return View(door, frozenset(plan.login.rooms), plan.revealed, plan.prefix)
