"""Records and logs on the disk."""

import asyncio
import os
from pathlib import Path

import pytest

from modules.service import logfile, record
from modules.service.limiter import History
from modules.service.memory import Memory
from modules.service.states import Wish


def test_a_record_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "wish.json"
    record.write(path, {"n": 1})
    record.write(path, {"n": 2})
    assert record.read(path) == {"n": 2}
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["wish.json"]


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '{"n": "\\ud800'])
def test_a_damaged_record_is_no_record(tmp_path: Path, text: str) -> None:
    path = tmp_path / "wish.json"
    path.write_text(text)
    assert record.read(path) is None
    assert Memory.read(path) == Memory()


@pytest.mark.parametrize("text", ['{"wish": 1}', '{"history": {"restarts": ["x"]}}', '{"wish": {"later": 1}}'])
def test_a_record_of_another_version_is_no_record(tmp_path: Path, text: str) -> None:
    path = tmp_path / "wish.json"
    path.write_text(text)
    assert Memory.read(path) == Memory()


async def test_what_was_remembered_is_read_again(tmp_path: Path) -> None:
    memory = Memory(Wish(False, "alice@example.org", 7.5), History((1.0, 2.0), 2, True))
    await memory.write(tmp_path / "wish.json")
    assert Memory.read(tmp_path / "wish.json") == memory


async def test_who_is_cancelled_while_writing_has_written(tmp_path: Path) -> None:
    saving = asyncio.create_task(record.save(tmp_path / "wish.json", {"n": 1}))
    await asyncio.sleep(0)
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    assert record.read(tmp_path / "wish.json") == {"n": 1}


def test_a_log_is_cut_back_to_its_end_and_the_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with os.fdopen(logfile.open_append(path), "wb", buffering=0) as writer:
        writer.write(b"".join(b"line %d\n" % n for n in range(10_000)))
        assert logfile.trim(path, 4096)
        assert not logfile.trim(path, 4096)
        assert logfile.last_lines(path)[-1] == "line 9999"
        assert path.with_name("log.1").stat().st_size == 4096
        writer.write(b"more\n")
        assert logfile.last_lines(path) == ("more",)
        assert path.stat().st_size == 5


def test_lines_are_few_short_and_clean() -> None:
    assert logfile.clean("\x1b[1;31mred\x1b[0m\r\n\n\x1b]0;title\x07 a\x00b\u202e") == ("red", " a\ufffdb\ufffd")
    assert len(logfile.clean("x\n" * 100)) == 10
    assert sum(map(len, logfile.clean("y" * 5000 + "\n" + "z" * 1500))) == 2048


def test_only_the_log_since_a_start_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    since = logfile.size(path)
    assert logfile.last_lines(path, since) == ()
    path.write_text("before\nafter\n")
    assert logfile.last_lines(path, since) == ("after",)
    path.write_text("new\n")  # cut back meanwhile
    assert logfile.last_lines(path, since) == ("new",)
