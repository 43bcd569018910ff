"""Outputs that are too long for one message: kept whole, private, discreet, bounded, and told where they are."""

import asyncio
import os
import re
import stat
import threading
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.command.answer import text_of
from amon.command.pieces import pieces
from amon.errors import Failed
from amon.fields import Field, Secret
from amon.runtime import caps
from amon.runtime.outputs import BLOCK, Outputs, forget
from amon.runtime.veil import Glass, Veil
from amon.text import visible
from amon.wire import Ended, Proof, Whole, body_of, read_proof
from tests.runtime.scene import ALICE, BOB, DOOR, Row, Said, Site, gate, raises, site

KEY = ("lab", ALICE, "01JD8M5W8X1V6Q2R3S4T5V6W7X")
TEXT = "".join(f"Nov 20 12:00:{n % 60:02} httpd[{n}]: GET /index-{n % 777}.html 200\n" for n in range(20_000))
HUSH = 'correct <horse> "battery" staple'


def whole_of(ended: Ended) -> Whole:
    assert ended.whole is not None
    return ended.whole


def read(lab: Site, ended: Ended, by: str = ALICE) -> bytes:
    return b"".join(lab.node.dispatch.outputs().parts((DOOR.account, by, ended.id)))


# Pieces


@dataclass(frozen=True, slots=True)
class Odd:
    name: Annotated[str, Field("its name")]
    size: Annotated[float | None, Field("how large", unit="B")]
    token: Annotated[str, Field("hidden", secret=True)] = ""
    many: tuple[int, ...] = ()


ODDS = st.builds(Odd, st.text(max_size=9), st.none() | st.floats(0, 1e9), st.text(max_size=3), st.tuples(st.integers()))


@given(st.lists(ODDS) | st.text() | st.lists(st.text()) | st.builds(Said, st.text()))
def test_the_pieces_of_a_result_are_its_text(result: Any) -> None:
    assert "".join(pieces(result)) == text_of(result)


@given(st.text("ab\t\r\n\x1b\u202e", max_size=60), st.integers(1, 7))
def test_a_text_is_as_safe_in_pieces_as_in_one(text: str, step: int) -> None:
    glass = Glass(())
    shown = "".join(glass.feed(text[start : start + step]) for start in range(0, len(text), step)) + glass.end()
    assert shown == visible(text)


@given(st.text("abx", max_size=80), st.integers(1, 9), st.sets(st.text("ab", min_size=1, max_size=5), max_size=3))
def test_no_border_lets_a_secret_through(text: str, step: int, secrets: set[str]) -> None:
    in_one, veil = Veil(secrets), Veil(secrets)
    expected = in_one.feed(text) + in_one.end()
    assert expected == (re.sub("|".join(sorted(secrets, key=len, reverse=True)), "***", text) if secrets else text)
    shown = "".join(veil.feed(text[start : start + step]) for start in range(0, len(text), step)) + veil.end()
    assert shown == expected


# Kept at the site


@pytest.mark.parametrize("result", [TEXT, Said(TEXT), TEXT.splitlines()], ids=["text", "object", "lines"])
async def test_what_does_not_fit_is_kept_whole_and_the_answer_says_where(tmp_path: Path, result: Any) -> None:
    async with site(tmp_path) as lab:
        lab.lab.body = lambda call: result
        ended = (await lab.ask("restart httpd")).last
        kept, whole = read(lab, ended), whole_of(ended)
    assert kept.decode().rstrip("\n") == TEXT.rstrip("\n")
    assert (whole.size, whole.digest, whole.lines) == (len(kept), sha256(kept).hexdigest(), 20_000)
    head, _, note = ended.text.rpartition("\n")
    assert TEXT.startswith(f"{head}\n")
    assert len(head) > 16_000
    assert note == f"(cut; {20_000 - len(head.splitlines())} more lines: amon job {ended.id} --save DIR)"


async def test_a_table_of_many_rows_is_kept_with_its_columns_aligned(tmp_path: Path) -> None:
    rows = [Row(f"unit-{n}", "up" if n % 7 else "down") for n in range(5_000)]
    async with site(tmp_path) as lab:
        lab.lab.body = lambda call: rows
        ended = (await lab.ask("restart httpd")).last
        kept = read(lab, ended)
    assert kept.decode() == text_of(rows)
    assert ended.data[0] == {"name": "unit-0", "state": "down"}
    assert [column[0] for column in ended.columns] == ["name", "state"]


async def test_where_only_the_data_is_too_much_the_data_is_kept_a_row_on_a_line(tmp_path: Path) -> None:
    @dataclass(frozen=True, slots=True)
    class Quiet:
        noise: Annotated[str, Field("much")]

        def __str__(self) -> str:
            return "quiet"

    async with site(tmp_path) as lab:
        lab.lab.body = lambda call: [Quiet("x" * 5_000)] * 30
        ended = (await lab.ask("restart httpd")).last
        kept = read(lab, ended)
    assert kept == (b'{"noise": "' + b"x" * 5_000 + b'"}\n') * 30
    assert ended.text.startswith("quiet\n" * 30)
    assert ended.text.endswith(f"(cut; not all data is here: amon job {ended.id} --save DIR)")


async def test_a_long_failure_is_kept_as_well(tmp_path: Path) -> None:
    async with site(tmp_path) as lab:
        lab.lab.body = raises(Failed(TEXT))
        ended = (await lab.ask("restart httpd")).last
        assert ended.state == "failed"
        assert read(lab, ended).decode() == TEXT


async def test_what_fits_leaves_nothing_behind(tmp_path: Path) -> None:
    async with site(tmp_path) as lab:
        lab.lab.body = lambda call: Said("x" * 16_000)
        ended = (await lab.ask("restart httpd")).last
    assert (ended.cut, ended.whole) == (False, None)
    assert not (tmp_path / "outputs").exists()


async def test_a_repeat_is_told_the_same_after_a_restart_and_the_output_is_still_there(tmp_path: Path) -> None:
    async with site(tmp_path, file="journal.db") as lab:
        lab.lab.body = lambda call: TEXT
        first = (await lab.ask("restart httpd", ident=KEY[2])).last
    async with site(tmp_path, file="journal.db") as lab:
        again = (await lab.ask("restart httpd", ident=KEY[2])).last
        assert again == first
        assert read(lab, again).decode() == TEXT
        assert lab.log == []


async def test_nobody_but_its_asker_finds_it_nor_he_through_another_account(tmp_path: Path) -> None:
    async with site(tmp_path) as lab:
        lab.lab.body = lambda call: TEXT
        ended = (await lab.ask("restart httpd")).last
        for key in ((DOOR.account, BOB, ended.id), ("other", ALICE, ended.id)):
            with pytest.raises(Failed, match="not kept here"):
                lab.node.dispatch.outputs().part(key, 0)
    (file,) = (tmp_path / "outputs").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "outputs").stat().st_mode) == 0o700


async def test_no_secret_reaches_the_file_however_it_lies_across_the_pieces(tmp_path: Path) -> None:
    secret = Secret(HUSH)
    text = "".join(f"{'.' * (n % 97)}{HUSH}{'-' * (n % 61)}" for n in range(10_000))
    outputs = Outputs(tmp_path)
    kept = await outputs.keep(KEY, Said(text), [Secret("-7-")], 1.0)
    there = b"".join(outputs.parts(KEY)).decode()
    assert there == text.replace(secret.reveal(), "***")
    assert "horse" not in str(kept.answer)


async def test_half_a_secret_is_not_shown_where_the_answer_is_cut(tmp_path: Path) -> None:
    secret = Secret("0123456789abcdefghij" * 50)
    async with site(tmp_path) as lab:
        for before in (caps.TEXT_MOST - 500, caps.DATA_MOST - 500, 2 * caps.DATA_MOST - 500):
            said = Said("x" * before + secret.reveal() + "y" * 200_000)
            lab.lab.body = partial(lambda said, call: said, said)
            ended = (await lab.ask("restart httpd")).last
            assert "0123" not in ended.text
            assert "0123" not in str(ended.data)


async def test_a_part_begins_at_any_byte_and_the_last_one_is_empty(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path)
    await outputs.keep(KEY, TEXT, (), 1.0)
    coded = TEXT.encode()
    assert outputs.part(KEY, 0) == coded[:BLOCK]
    assert outputs.part(KEY, BLOCK - 1) == coded[BLOCK - 1 : BLOCK]
    assert outputs.part(KEY, BLOCK + 5) == coded[BLOCK + 5 : 2 * BLOCK]
    assert outputs.part(KEY, len(coded)) == outputs.part(KEY, 10**15) == b""
    assert outputs.text(KEY, BLOCK - 10, 3000) == coded[BLOCK - 10 : BLOCK + 2990]


# Bounds


async def test_more_than_a_site_keeps_is_cut_at_a_line_which_says_so(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path, most=2**20)
    kept = await outputs.keep(KEY, TEXT * 4, (), 1.0)
    there = b"".join(outputs.parts(KEY)).decode()
    assert kept.whole is not None
    assert kept.whole.cut
    assert there.endswith("200\n(cut here: a site keeps 1 MiB; ask for less)\n")
    assert 2**20 - 100 < kept.whole.size == len(there) < 2**20 + 100


async def test_the_oldest_go_when_all_together_are_too_many(tmp_path: Path) -> None:
    noise = os.urandom(150_000).hex()
    outputs = Outputs(tmp_path, most=400_000, total=1_000_000)
    keys = [("lab", ALICE, str(n)) for n in range(8)]
    for when, key in enumerate(keys):
        await outputs.keep(key, noise, (), float(when))
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 1_000_000
    with pytest.raises(Failed):
        outputs.part(keys[0], 0)
    assert outputs.part(keys[-1], 0) == noise[:BLOCK].encode()


async def test_a_disk_that_is_nearly_full_is_left_alone_and_the_answer_says_what_is_missing(tmp_path: Path) -> None:
    async with site(tmp_path) as lab:
        lab.node.dispatch._outputs = Outputs(tmp_path / "outputs", free=lambda folder: 2**20)
        lab.lab.body = lambda call: TEXT
        ended = (await lab.ask("restart httpd")).last
    assert ended.state == "done"
    assert ended.whole is None
    assert "\n(cut after 16" in ended.text
    assert ended.text.endswith("characters; the rest could not be kept: no space left on device; ask for less)")
    assert list((tmp_path / "outputs").iterdir()) == []


async def test_outputs_are_forgotten_with_the_records_of_their_calls(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path)
    await outputs.keep(KEY, TEXT, (), 100.0)
    (tmp_path / "half.new").write_bytes(b"of an agent that died")
    os.utime(tmp_path / "half.new", (100, 100))
    forget(tmp_path, 99.0)
    assert len(list(tmp_path.iterdir())) == 2
    forget(tmp_path, 101.0)
    assert list(tmp_path.iterdir()) == []


async def test_a_file_that_was_spoilt_is_told_of_and_never_taken_for_text(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path)
    await outputs.keep(KEY, TEXT, (), 100.0)
    (file,) = tmp_path.iterdir()
    good = file.read_bytes()
    for bad in (b"", b"junk" * 10, good[:-1], b"\0" * 500 + good[500:], good[:-8] + b"\xff\xff\xff\x7famo1"):
        file.write_bytes(bad)
        with pytest.raises(Failed, match="cannot be read"):
            outputs.part(KEY, 0)


async def test_who_cancels_while_it_is_written_leaves_no_file(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow:
        def __str__(self) -> str:
            begun.set()
            assert go_on.wait(20)
            return "x" * 100_000

    outputs = Outputs(tmp_path)
    writing = asyncio.create_task(outputs.keep(KEY, [Slow()] * 9, (), 1.0))
    assert await asyncio.to_thread(begun.wait, 20)
    (file,) = tmp_path.iterdir()
    assert file.suffix == ".new"
    writing.cancel()
    await asyncio.wait([writing])
    go_on.set()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert writing.cancelled()
    assert list(tmp_path.iterdir()) == []


async def test_of_many_at_once_a_few_wait_for_the_disk_and_the_others_are_told_cut(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path)
    keys = [("lab", ALICE, str(n)) for n in range(9)]
    async with asyncio.TaskGroup() as tasks:
        keeping = [tasks.create_task(outputs.keep(key, TEXT, (), 1.0)) for key in keys]
    kept = [task.result() for task in keeping]
    assert [one.whole is not None for one in kept] == [True] * 4 + [False] * 5
    assert kept[8].fault == "others are being written down just now"
    assert all(one.answer.text == TEXT[:20_000] for one in kept)
    assert (await outputs.keep(keys[8], TEXT, (), 1.0)).whole is not None


def test_the_digest_of_an_output_is_part_of_what_its_site_signs() -> None:
    whole = Whole(5, "0" * 64, 1)
    body = body_of(Proof("cern@agents.example.org", ALICE, 1.0, Ended(KEY[2], "done", whole=whole), "x"))
    assert whole.digest in body
    assert read_proof(body).ended.whole == whole


async def test_the_loop_goes_on_while_fifty_megabytes_are_written(tmp_path: Path) -> None:
    outputs, turns = Outputs(tmp_path), 0
    writing = asyncio.create_task(outputs.keep(KEY, TEXT * 50, (), 1.0))
    while not writing.done():
        await asyncio.sleep(0)
        turns += 1
    assert (await writing).whole is not None
    assert turns > 20


async def test_a_call_waits_for_its_file_before_it_is_told(tmp_path: Path) -> None:
    """The journal names nothing that is not there."""
    async with site(tmp_path, file="journal.db") as lab:
        body, event = gate(TEXT)
        lab.lab.body = body
        ear, task = lab.begin("restart httpd", ident=KEY[2])
        await ear.wait("accepted")
        event.set()
        await ear.wait("done")
        assert read(lab, ear.last).decode() == TEXT
        await task
        record = await lab.journal.find(ALICE, KEY[2])
    assert record is not None
    assert whole_of(ear.last).digest in (record.outcome or "")
