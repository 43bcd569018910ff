"""Long answers in a chat: `more` reads them to their end, `file` makes a link of them that only their asker sees."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

import pytest

from amon.errors import Failed
from amon.fields import Secret
from amon.runtime.chat import Chat
from amon.runtime.outputs import Outputs
from tests.runtime.scene import ALICE, BOB, DOOR, site
from tests.runtime.talk import DESK, ROOM, Talk

LINES = [f"{number:06} words and words" for number in range(3_000)]
TEXT = "\n".join(LINES)
LINK = "https://upload.example.org/slot/cern.txt.gz"


class Service:
    """Remembers what was put there."""

    def __init__(self) -> None:
        self.files: list[tuple[str, bytes, str]] = []
        self.fault = ""

    async def upload(self, name: str, file: BinaryIO, size: int, kind: str) -> str:
        if self.fault:
            raise Failed(self.fault)
        content = file.read()
        assert len(content) == size
        self.files.append((name, content, kind))
        return LINK


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def talk(tmp_path: Path, service: Service) -> AsyncIterator[Talk]:
    async with site(tmp_path) as lab:
        made = Talk(lab)
        clock = lab.clock
        made.chat = Chat(
            "cern", DOOR, lab.node.dispatch, made.voice, clock, made.facts, same=10**9, upload=service.upload
        )
        lab.lab.body = lambda call: TEXT
        yield made


def rows(page: str) -> list[str]:
    return [line for line in page.split("\n") if line[:1].isdigit()]


async def test_more_reads_a_long_output_to_its_end_and_then_says_so(talk: Talk) -> None:
    (page,) = await talk.alone("look")
    assert page.endswith("lines: say more, or file)")
    read = rows(page)
    while True:
        (page,) = await talk.alone("more")
        if page == "there is no more; ask again":
            break
        read += rows(page)
    assert read == LINES


async def test_a_long_output_is_read_on_in_the_room_where_one_site_was_asked(talk: Talk) -> None:
    await talk.room("cern: look")
    ((to, page),) = await talk.room("cern: more")
    assert to == ROOM
    assert len(rows(page)) == 20


async def test_what_is_kept_no_more_is_said_instead_of_an_end(talk: Talk, tmp_path: Path) -> None:
    await talk.alone("look")
    for file in (tmp_path / "outputs").iterdir():
        file.unlink()
    for _ in range(60):
        (page,) = await talk.alone("more")
        if "not kept" in page:
            break
    assert page == "this output is not kept here, or not any more"


async def test_a_long_output_becomes_a_packed_file_and_its_link_says_that_it_is_a_secret(
    talk: Talk, service: Service
) -> None:
    await talk.alone("look")
    (said,) = await talk.alone("file")
    ((name, content, kind),) = service.files
    assert gzip.decompress(content).decode() == TEXT
    assert (name.startswith("cern-"), name.endswith(".txt.gz"), kind) == (True, True, "application/gzip")
    about, link, secret = said.split("\n")
    assert about.startswith("cern: all of it, 67.38 KiB, packed (gzip) ")
    assert link == LINK
    assert "treat it as a secret" in secret
    assert "administrator sets" in secret


async def test_a_short_file_is_not_packed(talk: Talk, service: Service) -> None:
    text = "\n".join(LINES[:100])
    talk.lab.lab.body = lambda call: text
    (page,) = await talk.alone("look")
    assert page.endswith("(81 more lines: say more)")
    await talk.alone("file")
    assert service.files[0][1:] == (f"lab look\n{text}".encode(), "text/plain; charset=utf-8")


async def test_the_link_goes_to_its_asker_alone_also_out_of_a_room(talk: Talk, service: Service) -> None:
    await talk.room("cern: look")
    ((to, said),) = await talk.room("cern: file")
    assert (to, LINK in said) == (DESK, True)


async def test_nobody_gets_a_file_of_what_another_asked_for(talk: Talk, service: Service) -> None:
    await talk.alone("look")
    assert await talk.alone("file", by=BOB) == ["there is no long answer to put into a file; ask again, then say file"]
    assert await talk.alone("file", by="mallory@example.org") != [LINK]
    assert service.files == []


async def test_a_secret_that_came_later_is_not_in_the_file(talk: Talk, service: Service) -> None:
    await talk.alone("look")
    secret = Secret("000777 words")
    await talk.alone("file")
    assert gzip.decompress(service.files[0][1]).decode() == TEXT.replace(secret.reveal(), "***")


async def test_each_file_leaves_a_line_in_the_audit_without_its_link(talk: Talk, service: Service) -> None:
    await talk.alone("look")
    await talk.alone("file")
    service.fault = "upload.example.org has no room left for this account today"
    (said,) = await talk.alone("file")
    done, failed = [line for line in await talk.lab.audit() if " file: " in line]
    assert done == f"{ALICE} file: uploaded {len(service.files[0][1])} bytes"
    assert failed == f"{ALICE} file: no file: {service.fault}"
    assert said == f"no file: {service.fault}; on a console: amon run --save DIR cern COMMAND"
    assert LINK not in str(await talk.lab.journal.recent(100))


async def test_files_of_one_person_are_few(talk: Talk, service: Service) -> None:
    await talk.alone("look")
    said = [(await talk.alone("file"))[0] for _ in range(8)]
    assert len(service.files) == 6
    assert said[-1].startswith("no file: at most 6 files in 10 min")
    talk.lab.clock.advance(601)
    await talk.alone("look")
    await talk.alone("file")
    assert len(service.files) == 7


async def test_where_the_disk_is_nearly_full_there_is_no_file_and_nothing_is_left(
    talk: Talk, service: Service, tmp_path: Path
) -> None:
    await talk.alone("look")
    talk.lab.node.dispatch._outputs = Outputs(tmp_path / "outputs", free=lambda folder: 2**20)
    (said,) = await talk.alone("file")
    assert said.startswith("no file: there is no place for a file here: no space left on device")
    assert service.files == []
    assert len(list((tmp_path / "outputs").iterdir())) == 1
