"""Long outputs saved: whole, proven, taken up again; sites that lie about theirs cost little and are named."""

import asyncio
import base64
import os
import resource
import stat
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest

from admin_console.broadcast import Interrupts
from admin_console.outputs import Saved, save_wholes
from admin_console.parts import WINDOW, Allowance
from admin_console.session import Session
from amon.errors import Failed
from amon.testing import FakeClock
from amon.wire import Chunk, Ended, Fetch, Payload, encode
from amon.words import Answer, Outcome, State, Whole
from tests.runtime.console import JOB_ID, ROOM, Desk, jid

BLOCK = 48_000
TEXT = "".join(f"{n:06} words and words and words\n" for n in range(30_000)).encode()
Says = Callable[[Fetch], Iterable[Payload | str]]


def whole_of(text: bytes, **more: object) -> Whole:
    return replace(Whole(len(text), sha256(text).hexdigest(), text.count(b"\n")), **more)  # type: ignore[arg-type]


def chunk(offset: int, part: bytes) -> Chunk:
    return Chunk(JOB_ID, offset, base64.b64encode(zlib.compress(part)).decode() if part else "")


def honest(text: bytes) -> Callable[[Fetch], Iterable[Payload]]:
    def says(fetch: Fetch) -> Iterable[Payload]:
        assert fetch.offset is not None
        end = (fetch.offset // BLOCK + 1) * BLOCK
        yield chunk(fetch.offset, text[fetch.offset : end])

    return says


class Ear:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Ground:
    """Sites that answer as they are told, and a console that saves what they have."""

    def __init__(self, folder: Path) -> None:
        self.desk, self.ear, self.folder = Desk(), Ear(), folder / "out"
        self.sites: dict[str, Says] = {}
        self.asked: list[tuple[str, int]] = []
        self.patience = 0.1  # seconds
        self.desk.replies = self._reply
        self.session = Session(self.desk.fleet, ROOM, FakeClock(), _no_sign)

    def _reply(self, site: str, payload: Payload) -> Iterable[Payload | str]:
        assert isinstance(payload, Fetch)
        assert payload.offset is not None
        self.asked.append((site, payload.offset))
        # As text: then the message bears the id of the job, as a real one does.
        return [said if isinstance(said, str) else encode(said) for said in self.sites[site](payload)]

    async def save(
        self, wholes: Mapping[str, Whole | None], text: str = "the beginning", **more: Any
    ) -> dict[str, Saved]:
        if not self.desk.fleet.sites:
            await self.desk.enter(*wholes)
        outcomes = [
            Outcome(site, State.done, Answer(text), 1.0, cut=whole is not None, whole=whole)
            for site, whole in wholes.items()
        ]
        async with asyncio.timeout(30):
            saved = await save_wholes(
                self.session, outcomes, JOB_ID, self.folder, self.ear, patience=self.patience, **more
            )
        return {one.site: one for one in saved}

    def left(self) -> Sequence[str]:
        return sorted(path.name for path in self.folder.iterdir())


async def _no_sign(message: bytes, namespace: str) -> str:
    raise Failed("no key")


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


async def test_an_output_is_saved_whole_in_a_private_file_of_its_site(ground: Ground) -> None:
    ground.sites["cern"] = honest(TEXT)
    saved = await ground.save({"cern": whole_of(TEXT)})
    path = ground.folder / "cern.txt"
    assert saved["cern"] == Saved("cern", path, len(TEXT))
    assert path.read_bytes() == TEXT
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(ground.folder.stat().st_mode) == 0o700
    assert ground.left() == ["cern.txt"]
    assert ground.ear.notes == [f"saved 1 of 1 site to {ground.folder}, 966.8 KiB"]


async def test_what_fitted_into_the_answer_is_a_file_as_well_and_nothing_is_asked_for(ground: Ground) -> None:
    saved = await ground.save({"cern": None}, text="up 3 d\n")
    assert (ground.folder / "cern.txt").read_text() == "up 3 d\n"
    assert (saved["cern"].why, ground.asked) == ("", [])


async def test_it_goes_on_where_it_was_broken_off_and_asks_for_nothing_twice(ground: Ground) -> None:
    answers = honest(TEXT)
    ground.sites["cern"] = lambda fetch: answers(fetch) if fetch.offset is not None and fetch.offset < 400_000 else []
    saved = await ground.save({"cern": whole_of(TEXT)})
    assert saved["cern"].path is None
    assert (
        saved["cern"].why == f"does not answer any more; 432000 of {len(TEXT)} bytes are here, the rest is at the site"
    )
    assert ground.ear.notes[-1] == f"what came so far is kept; next: amon job {JOB_ID} --save {ground.folder}"
    (part,) = ground.folder.iterdir()
    with part.open("r+b") as file:
        file.truncate(431_000)  # as a power loss may leave it
    ground.asked.clear()
    ground.sites["cern"], ground.patience = answers, 10.0
    assert (await ground.save({"cern": whole_of(TEXT)}))["cern"].why == ""
    assert (ground.folder / "cern.txt").read_bytes() == TEXT
    assert ground.asked[:2] == [("cern", 431_000), ("cern", 432_000)]
    assert len(ground.asked) == len(set(ground.asked))
    assert ground.left() == ["cern.txt"]


async def test_what_is_there_and_proven_is_not_fetched_again_and_what_is_not_is(ground: Ground) -> None:
    ground.sites["cern"] = honest(TEXT)
    await ground.save({"cern": whole_of(TEXT)})
    ground.asked.clear()
    await ground.save({"cern": whole_of(TEXT)})
    assert ground.asked == []
    (ground.folder / "cern.txt").write_bytes(b"x" * len(TEXT))
    await ground.save({"cern": whole_of(TEXT)})
    assert (ground.folder / "cern.txt").read_bytes() == TEXT


async def test_of_many_sites_a_few_are_asked_at_a_time_and_each_for_a_few_parts(ground: Ground) -> None:
    texts = {f"s{n}": Random(n).randbytes(BLOCK * 30) for n in range(12)}
    waiting: dict[str, set[int]] = {}
    most_sites = most_parts = 0

    def slow(site: str) -> Says:
        def says(fetch: Fetch) -> Iterable[Payload]:
            nonlocal most_sites, most_parts
            assert fetch.offset is not None
            waiting.setdefault(site, set()).add(fetch.offset)
            most_sites, most_parts = max(most_sites, len(waiting)), max(most_parts, len(waiting[site]))
            asyncio.get_running_loop().call_later(0.001, answer, site, fetch)
            return ()

        def answer(site: str, fetch: Fetch) -> None:
            assert fetch.offset is not None
            waiting[site].discard(fetch.offset)
            if not waiting[site]:
                del waiting[site]
            for said in honest(texts[site])(fetch):
                ground.desk.hear(jid(site), encode(said))

        return says

    ground.patience = 10.0
    ground.sites.update({site: slow(site) for site in texts})
    saved = await ground.save({site: whole_of(text) for site, text in texts.items()}, at_once=3)
    assert [one.why for one in saved.values() if one.why] == []
    assert all((ground.folder / f"{site}.txt").read_bytes() == text for site, text in texts.items())
    assert 1 < most_sites <= 3
    assert 1 < most_parts <= WINDOW


async def test_a_name_of_a_site_cannot_lead_out_of_the_directory(ground: Ground) -> None:
    outcomes = [Outcome(name, State.done, Answer("x")) for name in ("../evil", ".hidden", "a/b", "nul\0")]
    await save_wholes(ground.session, outcomes, JOB_ID, ground.folder, ground.ear)
    assert ground.left() == ["%2E.%2Fevil.txt", "%2Ehidden.txt", "a%2Fb.txt", "nul%00.txt"]
    assert len(list(ground.folder.parent.iterdir())) == 1


async def test_a_link_in_place_of_the_part_is_not_followed(ground: Ground) -> None:
    victim = ground.folder.parent / "victim"
    victim.write_text("precious")
    ground.folder.mkdir()
    (ground.folder / f".cern.txt.{whole_of(TEXT).digest[:16]}.part").symlink_to(victim)
    ground.sites["cern"] = honest(TEXT)
    assert (await ground.save({"cern": whole_of(TEXT)}))["cern"].path is None
    assert victim.read_text() == "precious"


async def test_a_directory_that_cannot_be_made_is_said_before_anything_is_asked(ground: Ground) -> None:
    ground.folder.write_text("a file")
    with pytest.raises(Failed, match="cannot be made"):
        await ground.save({"cern": whole_of(TEXT)})
    assert ground.asked == []


async def test_where_it_was_cut_at_its_site_that_is_said(ground: Ground) -> None:
    ground.sites["cern"] = honest(TEXT)
    saved = await ground.save({"cern": whole_of(TEXT, cut=True)})
    assert saved["cern"].why == "cut at its site, which keeps no more of it"
    assert (ground.folder / "cern.txt").read_bytes() == TEXT


async def test_who_presses_ctrl_c_has_what_came_so_far_and_goes_on_another_time(ground: Ground) -> None:
    interrupts, answers = Interrupts(), honest(TEXT)

    def stops(fetch: Fetch) -> Iterable[Payload]:
        assert fetch.offset is not None
        if fetch.offset < 400_000:
            return answers(fetch)
        asyncio.get_running_loop().call_soon(interrupts.hit)
        return ()

    ground.sites.update({"cern": stops, "desy": honest(TEXT)})
    ground.patience = 60.0
    saved = await ground.save({"desy": None, "cern": whole_of(TEXT)}, stops=interrupts, at_once=1)
    assert (saved["cern"].why, saved["desy"].why) == ("stopped by you", "")
    assert "cern: stopped by you" in ground.ear.notes
    ground.sites["cern"] = answers
    await ground.save({"cern": whole_of(TEXT)})
    assert (ground.folder / "cern.txt").read_bytes() == TEXT


async def test_a_site_that_goes_offline_keeps_nobody_waiting(ground: Ground) -> None:
    def goes(fetch: Fetch) -> Iterable[Payload]:
        ground.desk.go("cern")
        return ()

    ground.sites["cern"] = goes
    saved = await ground.save({"cern": whole_of(TEXT)})
    assert saved["cern"].why.startswith("went offline; 0 of")
    ground.desk.not_there.add("cern")
    assert (await ground.save({"cern": whole_of(TEXT)}))["cern"].why.startswith("not there")


# Hostile


def _half(text: bytes) -> bytes:
    return text[: len(text) // 2]


LIARS: dict[str, tuple[Whole, Says, str]] = {
    "claims too much": (whole_of(TEXT, size=10**15), honest(TEXT), "says that it has 1e+15 bytes"),
    "names no digest": (whole_of(TEXT, digest="../../x"), honest(TEXT), "does not say which digest"),
    "wrong digest": (whole_of(TEXT, digest="0" * 64), honest(TEXT), "what it sent is not what it had said"),
    "has nothing": (whole_of(TEXT), lambda fetch: [chunk(fetch.offset or 0, b"")], "does not keep it any more"),
    "ends early": (whole_of(TEXT), honest(_half(TEXT)), "another length than before"),
    "crumbs": (whole_of(TEXT), lambda fetch: [chunk(fetch.offset or 0, b"x")], "of a length that cannot be"),
    "too long": (whole_of(TEXT), lambda fetch: [chunk(fetch.offset or 0, b"x" * 65_537)], "cannot be read"),
    "bomb": (whole_of(TEXT), lambda fetch: [chunk(fetch.offset or 0, bytes(40_000_000))], "cannot be read"),
    "no base64": (whole_of(TEXT), lambda fetch: [Chunk(JOB_ID, fetch.offset or 0, "!!!")], "cannot be read"),
    "no zlib": (whole_of(TEXT), lambda fetch: [Chunk(JOB_ID, fetch.offset or 0, "AAAA")], "cannot be read"),
    "other offsets": (
        whole_of(TEXT),
        lambda fetch: [chunk((fetch.offset or 0) + 7 + n, b"x" * BLOCK) for n in range(50)],
        "does not answer any more; 0 of",
    ),
    "says nothing": (whole_of(TEXT), lambda fetch: [], "does not answer any more; 0 of"),
    "something else": (whole_of(TEXT), lambda fetch: [Ended(JOB_ID, "done", "x")] * 30, "does not answer any more"),
    "no payload": (whole_of(TEXT), lambda fetch: ["junk"] * 30, "does not answer any more"),
}


@pytest.mark.parametrize("liar", LIARS)
async def test_a_site_that_lies_is_named_and_holds_up_nobody(ground: Ground, liar: str) -> None:
    whole, says, why = LIARS[liar]
    ground.sites["evil"], ground.sites["cern"] = says, honest(TEXT)
    saved = await ground.save({"evil": whole, "cern": whole_of(TEXT)}, at_once=1)
    assert saved["evil"].path is None
    assert why in saved["evil"].why
    assert any(note.startswith("evil: ") and why in note for note in ground.ear.notes)
    assert (ground.folder / "cern.txt").read_bytes() == TEXT
    assert not (ground.folder / "evil.txt").exists()
    assert len([one for one in ground.asked if one[0] == "evil"]) < 100


async def test_a_flood_of_parts_is_not_even_read(ground: Ground) -> None:
    large = [chunk(n * BLOCK, Random(n).randbytes(BLOCK)) for n in range(300)]
    ground.sites["evil"], ground.sites["cern"] = (lambda fetch: large), honest(TEXT)
    wholes = {"evil": whole_of(bytes(40_000_000)), "cern": whole_of(TEXT)}
    tracemalloc.start()
    saved = await ground.save(wholes)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert saved["evil"].path is None
    assert saved["cern"].why == ""
    assert most < 30_000_000


def test_a_letter_is_read_for_each_that_was_asked_for() -> None:
    allowance = Allowance()
    assert not allowance.takes("cern", 10, 0.0)
    for _ in range(1000):
        allowance.asked("cern")
    assert sum(allowance.takes("cern", 10, 0.0) for _ in range(1000)) == 2 * WINDOW
    assert not allowance.takes("", 10, 0.0)


async def test_a_disk_that_takes_no_more_is_told_and_what_came_is_kept(ground: Ground) -> None:
    ground.sites["cern"] = honest(TEXT)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # what a full disk does, setrlimit(2)
    try:
        saved = await ground.save({"cern": whole_of(TEXT)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert saved["cern"].why == "cannot be written: file too large"
    (part,) = ground.folder.iterdir()
    assert TEXT.startswith(part.read_bytes())
    assert (await ground.save({"cern": whole_of(TEXT)}))["cern"].why == ""
    assert (ground.folder / "cern.txt").read_bytes() == TEXT


async def test_what_is_no_file_in_place_of_the_part_is_left_alone(ground: Ground) -> None:
    ground.folder.mkdir()
    os.mkfifo(ground.folder / f".cern.txt.{whole_of(TEXT).digest[:16]}.part")
    ground.sites["cern"] = honest(TEXT)
    assert (await ground.save({"cern": whole_of(TEXT)}))["cern"].why == "cannot be written: something else is there"
