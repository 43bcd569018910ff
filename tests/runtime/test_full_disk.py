"""A disk that is really full, a small tmpfs: looking goes on, changing is refused, and nothing accepted is lost.

`scene` is played in a mount namespace of its own, by a Python of its own; mounting needs root.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from amon.access import verify_chain
from amon.store import Journal, Query
from amon.testing import FakeClock
from tests.runtime.scene import ALICE, EVE, Said, Site, site

_ROOT = Path(__file__).parents[2]
_MOUNTED = "import asyncio, sys; from pathlib import Path; from tests.runtime.test_full_disk import scene; "


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts, so it needs root")
def test_a_full_disk_stops_changes_and_not_reads_and_is_well_again_when_there_is_room(tmp_path: Path) -> None:
    program = f"{_MOUNTED} asyncio.run(scene(Path(sys.argv[1])))"
    mount = 'mount -t tmpfs -o size=800k none "$2" && exec "$0" -c "$1" "$2"'
    argv = ["unshare", "-m", "sh", "-c", mount, sys.executable, program, str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=50, check=False, cwd=_ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "scene played\n"


async def scene(disk: Path) -> None:
    """What is asserted, on a disk of 800 KiB."""
    clock = FakeClock()
    async with site(disk, file="journal.db", clock=clock) as lab:
        lab.lab.body = lambda call: Said("done it")
        assert (await lab.ask("restart httpd", ident=_ident(1))).last.state == "done"
        filler = disk / "filler"
        _fill(filler)
        refused = await _until_refused(lab)
        done = lab.log.count("restart httpd")
        await _stays_refused(lab, refused, done)
        filler.unlink()
        await _mended(lab, clock)
        assert (await lab.ask("restart httpd")).last.state == "done"
        assert lab.log.count("restart httpd") == done + 1
        await _nothing_lost(lab, done)
    async with Journal.open(disk / "journal.db") as journal:  # and after a restart
        page = await journal.page(Query(count=1_000_000), 1_000_000)
        assert verify_chain(page.lines, page.anchor).head == page.head
    print("scene played")


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(512))
        except OSError:
            pass


async def _until_refused(lab: Site) -> str:
    """SQLite's log has some room of its own left; a few changes still find place in it."""
    for number in range(2, 5000):
        ear = await lab.ask("restart httpd", ident=_ident(number))
        if ear.last.state != "done":
            return ear.last.text
    raise AssertionError("the disk is never full")


async def _stays_refused(lab: Site, refused: str, done: int) -> None:
    assert refused == (
        "the site's journal cannot be written: database or disk is full; look at its disk; nothing was done"
    )
    assert (await lab.ask("restart httpd")).last.state == "failed"
    assert lab.log.count("restart httpd") == done, "something was done that is not written down"
    assert (await lab.ask("look")).last.state == "done"
    assert (await lab.ask("audit")).last.state == "done"
    assert (await lab.ask("look", by=EVE)).last.state == "refused"
    assert lab.node.picture().status == "CRIT 1/2 journal database or disk is full: nothing can be changed here"
    assert lab.node.picture().level.word == "crit"


async def _mended(lab: Site, clock: FakeClock) -> None:
    """The node looks once a minute."""
    mended = asyncio.Event()
    lab.node.listen(lambda: mended.set() if not lab.journal.fault else None)
    async with asyncio.timeout(20):
        while not mended.is_set():
            clock.advance(60)
            await lab.journal.find(ALICE, _ident(1))
    assert lab.node.picture().level.word == "ok"


async def _nothing_lost(lab: Site, done: int) -> None:
    """All that was done stands in the journal and in the audit; the chain is whole and says what it lost."""
    page = await lab.journal.page(Query(count=1_000_000), 1_000_000)
    assert verify_chain(page.lines, page.anchor).head == page.head
    said = [f"{one.record.line}: {one.record.outcome}" for one in page.lines if one.record]
    assert said.count("lab restart what=httpd: accepted") == done + 1
    (lost,) = [one for one in said if "could not be written" in one]
    assert lost.endswith("lines could not be written while the journal was broken")
    for number in range(1, done + 1):
        record = await lab.journal.find(ALICE, _ident(number))
        assert record is not None
        assert record.state in ("done", None), record


def _ident(number: int) -> str:
    return f"01J{number:023}"
