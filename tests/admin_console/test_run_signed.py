"""Signatures end to end: the real ssh-keygen, real agents on a real server, and whose answers are proven."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from admin_console.broadcast import Interrupts, broadcast
from admin_console.plain import trust_lines
from admin_console.report import job_document
from admin_console.session import in_fleet
from admin_console.wish import Wish
from amon.access import RESULT
from amon.access.sshsig import SigningKey
from amon.clock import SystemClock
from amon.errors import Failed
from amon.job import ExitCode
from amon.runtime.proofs import Word
from amon.target import parse
from amon.wire import Ended
from tests.admin_console.ground import ALICE, BOB, SERVERS, Ground, Person, noted, pipe, states
from tests.admin_console.test_run import kept

OWNERS = f'owner = ["{ALICE}", "{BOB}"]'


async def key(ground: Ground, name: str) -> Path:
    """A key as an admin has one."""
    path = ground.folder / f"id_{name}"
    words = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path))
    assert await (await asyncio.create_subprocess_exec(*words)).wait() == 0
    return path


async def site(ground: Ground, name: str, *people: tuple[str, Path], own: Path | None = None) -> None:
    """A site that knows the keys of these people, and has one of its own if it is given."""
    file = ground.folder / f"signers-{name}"
    file.write_text("".join(f"{jid} {path.with_suffix('.pub').read_text()}" for jid, path in people))
    file.chmod(0o644)
    account = f'signers = "{file}"' + (f'\nkey = "{own}"' if own else "")
    await ground.site(name, policy=OWNERS, more=account)


@pytest.mark.parametrize("ground", SERVERS, indirect=True)
async def test_what_is_dangerous_is_shown_then_signed_then_done(ground: Ground) -> None:
    alice = await key(ground, "alice")
    for name in ("cern", "fnal"):
        await site(ground, name, (ALICE, alice))
    face = Person("y")
    report = await ground.run("all", "odd wipe", face=face, changes={"key": str(alice)})
    assert states(report) == {"cern": "done", "fnal": "done"}
    assert report.exit == ExitCode.all_done
    assert "cern: would wipe" in noted(face)
    assert len(face.questions) == 1
    assert (kept(ground, "cern"), kept(ground, "fnal")) == ("wiped\n", "wiped\n")


async def test_signed_from_the_start_one_site_asks_nothing_back(ground: Ground) -> None:
    alice = await key(ground, "alice")
    await site(ground, "cern", (ALICE, alice))
    report = await ground.run("cern", "odd wipe", sign=True, changes={"key": str(alice)})
    assert states(report) == {"cern": "done"}


class Ahead(SystemClock):
    """Of every other clock, by ten minutes and a half."""

    def time(self) -> float:
        return super().time() + 630


@pytest.mark.parametrize("ground", SERVERS, indirect=True)
async def test_a_console_with_a_wrong_clock_signs_nothing_and_says_whose_clock_it_is(ground: Ground) -> None:
    alice = await key(ground, "alice")
    await site(ground, "cern", (ALICE, alice))
    console = replace(ground.console(key=str(alice)), clock=Ahead())
    wish = Wish(parse("cern"), "odd wipe", 10, 5, sign=True)
    async with asyncio.timeout(30), in_fleet(console) as session:
        with pytest.raises(Failed, match=r"this clock is 10 min ahead of the server's: .*; next: look at NTP"):
            await broadcast(session, pipe(), wish, Interrupts())
    assert kept(ground, "cern") == ""


async def test_without_a_key_nothing_is_done_and_the_next_step_is_told(ground: Ground) -> None:
    alice = await key(ground, "alice")
    await site(ground, "cern", (ALICE, alice))
    face = pipe()
    report = await ground.run("cern", "odd wipe", yes=True, face=face)
    assert (states(report), kept(ground, "cern")) == ({"cern": "not-started"}, "")
    assert report.exit == ExitCode.refused
    assert "no key to sign with is set" in noted(face)
    report = await ground.run("cern", "odd wipe", face=(face := pipe()))
    assert report.exit == ExitCode.refused
    assert "next: --yes --sign" in noted(face)


async def test_a_key_that_the_site_does_not_know_for_this_person_is_refused(ground: Ground) -> None:
    alice, bob = await key(ground, "alice"), await key(ground, "bob")
    await site(ground, "cern", (BOB, bob))
    for wrong in (alice, bob):
        report = await ground.run("cern", "odd wipe", sign=True, changes={"key": str(wrong)})
        assert states(report) == {"cern": "refused"}
        assert "why stands in the log" in report.book["cern"].text
    assert kept(ground, "cern") == ""


async def test_answers_are_verified_against_the_keys_of_the_sites(ground: Ground) -> None:
    mine = SigningKey.generate(ground.folder / "cern.key", "cern")
    other = SigningKey.generate(ground.folder / "other.key", "other")
    await site(ground, "cern", own=ground.folder / "cern.key")
    await site(ground, "fnal", own=ground.folder / "other.key")
    await site(ground, "kek")
    await ground.false_site("odd", lambda request: [Ended(request.id, "done", "made up")])
    keys = ground.folder / "site_keys"
    named = {"cern": mine, "fnal": mine, "kek": other}
    keys.write_text(
        "".join(
            f'{name}@{ground.server.agents} namespaces="{RESULT}" {key.public.line}\n' for name, key in named.items()
        )
    )
    face = pipe()
    report = await ground.run("all", "odd echo hello", face=face, changes={"site_keys": str(keys)}, accept_by=2)
    assert report.words == {"cern": Word.signed, "fnal": Word.forged, "kek": Word.unsigned}
    assert states(report) == {"cern": "done", "fnal": "silent", "kek": "done", "odd": "done"}
    assert trust_lines(report) == noted(face).splitlines()[-3:]
    assert "DO NOT TRUST what came as an answer of fnal: signed, but not by this site's key" in noted(face)
    said = {one["site"]: one["signed"] for one in job_document(report)["sites"]}
    assert said == {"cern": True, "fnal": False, "kek": False, "odd": None}
    report = await ground.run("cern,kek", "odd echo hello", changes={"site_keys": str(keys)})
    assert (states(report), report.exit) == ({"cern": "done", "kek": "done"}, ExitCode.no_answer)
    report = await ground.run("cern,odd", "odd echo hello", changes={"site_keys": str(keys)})
    assert (states(report), report.exit) == ({"cern": "done", "odd": "done"}, ExitCode.all_done)
