"""What became of a call, asked by its id alone: the site signs in which words it was asked, and the console looks."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from admin_console.plain import trust_lines
from admin_console.report import job_document
from admin_console.wish import Report, Wish, judged
from amon.access import RESULT
from amon.ids import digest
from amon.job import ExitCode
from amon.runtime.delivery import request_of
from amon.runtime.gather import Gathering, gathering
from amon.runtime.payload import PayloadFront
from amon.runtime.proofs import Word
from amon.store.ledger import KeptRow
from amon.target import parse
from amon.wire import Ended, Fetch, Payload, Proof, Request, body_of, encode, read_proof, unseal
from amon.words import NOT_KNOWN
from amon.xmpp.events import Received
from tests.runtime.console import JOB_ID, ROOM, Desk, jid
from tests.runtime.hands import key_of, signed, signers
from tests.runtime.scene import ALICE, DOOR, Said, Site, site
from tests.runtime.test_gather import collect, job, settle, states

LOOK = Request(JOB_ID, ("cern",), "look", 30.0)
FETCH = Fetch(JOB_ID)
ENDED = Ended(JOB_ID, "done", "up")


def of(asked: Payload) -> str:
    return digest(body_of(asked))


# At the site


class Signing:
    """A site with a key. sent: what went back, as it travels."""

    def __init__(self, lab: Site) -> None:
        self.lab = lab
        self.sent: list[str] = []
        self.front = PayloadFront("cern", DOOR, lab.node.dispatch, self._send, lab.clock, Random(1), self._sign)

    def _send(self, to: str, payload: str, ident: str) -> bool:
        self.sent.append(payload)
        return True

    def _sign(self, message: bytes, namespace: str) -> str:
        return key_of("cern").sign(message, namespace)

    async def hear(self, payload: Payload | str) -> list[str]:
        self.sent.clear()
        text = payload if isinstance(payload, str) else encode(payload)
        await self.front.received(Received(ALICE, f"{ALICE}/console", "", payload=text))
        return list(self.sent)

    async def proof(self, payload: Payload) -> Proof:
        """The one signed answer to it."""
        (text,) = await self.hear(payload)
        return read_proof(unseal(text).body)


@asynccontextmanager
async def signing(folder: Path) -> AsyncIterator[Signing]:
    async with site(folder, file="j") as lab:
        yield Signing(lab)


async def test_asked_what_became_of_it_a_site_signs_in_which_words_it_was_asked_also_after_a_restart(
    tmp_path: Path,
) -> None:
    async with signing(tmp_path) as cern:
        assert (await cern.proof(LOOK)).asked == of(LOOK)
        assert (await cern.proof(FETCH)).asked == of(LOOK)
    async with signing(tmp_path) as cern:
        assert (await cern.proof(FETCH)).asked == of(LOOK)
        assert cern.lab.log == []


async def test_asked_while_it_is_under_way_too(tmp_path: Path) -> None:
    async with signing(tmp_path) as cern:
        begun, go = asyncio.Event(), asyncio.Event()

        async def body() -> Said:
            begun.set()
            await go.wait()
            return Said("seen")

        cern.lab.lab.body = lambda call: body()
        first = asyncio.create_task(cern.hear(LOOK))
        async with asyncio.timeout(5):
            await begun.wait()
            await cern.hear(FETCH)
            cern.sent.clear()
            go.set()
            await first
        assert [read_proof(unseal(text).body).asked for text in cern.sent] == [of(LOOK)] * 2


async def test_what_is_not_known_or_was_typed_is_signed_as_the_answer_to_the_question(tmp_path: Path) -> None:
    async with signing(tmp_path) as cern:
        told = await cern.proof(FETCH)
        assert (told.asked, told.ended.text) == (of(FETCH), NOT_KNOWN)
        await cern.lab.ask("look", ident=JOB_ID, typed=True)
        told = await cern.proof(FETCH)
        assert (told.asked, told.ended.state) == (of(FETCH), "done")


# At the console


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    desk.fleet.keys = signers(cern=jid("cern"), desy=jid("desy"))
    await desk.enter("cern")
    return desk


def proof(asked: str, ended: Ended = ENDED) -> str:
    return signed(Proof(jid("cern"), ALICE, 1.0, ended, asked), "cern", RESULT)


async def taken_up(desk: Desk, answers: Iterable[str], bodies: tuple[str, ...], state: str = "accepted") -> Gathering:
    """By a console that was not there when it was sent, whose site answers its question so."""
    answers = list(answers)
    desk.replies = lambda site, payload: answers if isinstance(payload, Fetch) else ()
    with gathering(desk.fleet, None, job("cern"), desk.clock) as made:
        made.resume([KeptRow(JOB_ID, "cern", state, asked=True, bodies=bodies)], begins=False)
        await fetched(desk, made)
    return made


async def fetched(desk: Desk, made: Gathering) -> None:
    asking = asyncio.create_task(made.fetch())
    await settle()
    desk.clock.advance(10.0)
    async with asyncio.timeout(5):
        await asking


async def test_a_server_that_had_the_site_do_something_else_under_the_id_cannot_show_it_as_the_answer(
    desk: Desk, tmp_path: Path
) -> None:
    async with signing(tmp_path) as cern:
        await cern.hear(Request(JOB_ID, ("cern",), "restart httpd", 30.0))  # what the server asks instead
        assert cern.lab.log == ["restart httpd"]
        (lie,) = await cern.hear(FETCH)
    with gathering(desk.fleet, None, job("cern"), desk.clock) as made:
        await collect(desk, made, 3.0, 3.0)  # for the request is kept back
        assert states(made) == {"cern": "silent"}
        desk.replies = lambda site, payload: [lie]
        await fetched(desk, made)
    assert (states(made), made.words) == ({"cern": "silent"}, {"cern": Word.other})
    later = await taken_up(desk, [lie], made.sent_to("cern"))
    assert (later.book["cern"].reported, later.words) == (False, {})


async def test_a_console_that_took_up_the_job_knows_in_which_words_it_was_asked(desk: Desk) -> None:
    made = await taken_up(desk, [proof(of(LOOK))], (of(LOOK),))
    assert (states(made), made.words) == ({"cern": "done"}, {"cern": Word.signed})
    assert made.sent_to("cern") == (of(LOOK),)


@pytest.mark.parametrize("kept", [(of(LOOK),), ()])
async def test_a_site_of_an_earlier_version_is_marked_as_signed_for_the_id_and_the_exit_stays(
    desk: Desk, kept: tuple[str, ...]
) -> None:
    made = await taken_up(desk, [proof(of(FETCH))], kept)
    assert (states(made), made.words) == ({"cern": "done"}, {"cern": Word.by_id})
    assert judged(made.book, made.words) is ExitCode.all_done
    report = Report(Wish(parse("all"), "uptime"), made.job, made.book, ExitCode.all_done, made.words)
    assert trust_lines(report) == ["signed for the id of the job, but not for what was asked under it: cern"]
    assert job_document(report)["sites"][0]["signed"] is False


async def test_where_nobody_kept_what_was_sent_an_answer_counts_for_the_id(desk: Desk) -> None:
    made = await taken_up(desk, [proof(of(LOOK))], ())
    assert (states(made), made.words) == ({"cern": "done"}, {"cern": Word.by_id})


async def test_that_it_is_not_known_there_is_proven_by_the_question(desk: Desk) -> None:
    made = await taken_up(desk, [proof(of(FETCH), Ended(JOB_ID, "expired", NOT_KNOWN))], (of(LOOK),))
    assert (states(made), made.words) == ({"cern": "lost"}, {"cern": Word.signed})
    assert "does not know" in made.book["cern"].text


@pytest.mark.parametrize(
    ("proven", "word"),
    [
        (proof(of(FETCH), Ended(JOB_ID, "expired", NOT_KNOWN)), Word.by_id),
        (proof(of(LOOK), Ended(JOB_ID, "refused", "this message has the id of an earlier one")), Word.by_id),
        (proof(of(LOOK)), Word.signed),
    ],
)
async def test_what_is_signed_makes_good_only_what_it_says_itself(desk: Desk, proven: str, word: Word) -> None:
    made = await taken_up(desk, [proof(of(FETCH)), proven], (of(LOOK),))
    assert (made.book["cern"].text, made.words) == ("up", {"cern": word})


async def test_an_unsigned_end_is_not_made_good_by_a_true_word_that_it_is_not_known(desk: Desk) -> None:
    not_known = proof(of(FETCH), Ended(JOB_ID, "expired", NOT_KNOWN))
    made = await taken_up(desk, [encode(ENDED), not_known], (of(LOOK),))
    assert (made.book["cern"].text, made.words) == ("up", {"cern": Word.unsigned})


async def test_each_site_is_remembered_with_what_was_sent_to_it(desk: Desk) -> None:
    await desk.enter("desy")
    desk.in_room()
    wanted = job("cern", "desy")
    with gathering(desk.fleet, ROOM, wanted, desk.clock) as made:
        made.send()
        for name in ("cern", "desy"):
            forms = (request_of(wanted, ("cern", "desy")), request_of(wanted, (name,)))
            assert made.sent_to(name) == tuple(sorted(map(of, forms)))
