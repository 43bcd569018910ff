"""The console's side of signatures: jobs that are signed, and answers that are, are not, or only seem to be."""

from collections.abc import Iterable
from typing import Any

import pytest
from msgspec.structs import replace

from amon.access import COMMAND, RESULT
from amon.ids import digest
from amon.runtime.gather import Job, gathering
from amon.runtime.proofs import Word
from amon.runtime.signing import signed as sign_job
from amon.store.ledger import KeptRow
from amon.wire import Ended, Fetch, NeedsWord, Payload, Proof, Request, body_of, read_envelope, unseal
from tests.runtime.console import JOB_ID, ROOM, Desk, jid
from tests.runtime.hands import key_of, signed, signers
from tests.runtime.scene import ALICE, BOB
from tests.runtime.test_gather import collect, gathered, job, states

ENDED = Ended(JOB_ID, "done", "up")


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.fleet.keys = signers(cern=jid("cern"), desy=jid("desy"))
    return desk


async def sign(message: bytes, namespace: str) -> str:
    return key_of("alice").sign(message, namespace)


async def signed_job(desk: Desk, wanted: Job) -> Job:
    return await sign_job(wanted, ALICE, ROOM, desk.clock, sign)


def proof(name: str, asked: Payload | None = None, **other: Any) -> Proof:
    """asked: what it answers."""
    of = digest(body_of(asked)) if asked is not None else ""
    return Proof(**{"by": jid(name), "to": ALICE, "at": 1.0, "ended": ENDED, "asked": of, **other})


async def test_one_signature_is_for_all_sites_of_a_pack_and_over_what_travels(desk: Desk) -> None:
    names = tuple(f"site-{n}" for n in range(450))
    made = await signed_job(desk, job(*names))
    texts = {made.sealed[name] for name in names}
    assert len(texts) == 3
    for text in texts:
        sealed = unseal(text)
        assert sealed.sig is not None
        signers(alice=ALICE).verify(sealed.body.encode(), sealed.sig, COMMAND, ALICE, 0)
        envelope = read_envelope(sealed.body)
        assert (envelope.by, envelope.aud, envelope.request.job_sites) == (ALICE, ROOM, 450)
        assert 0 < envelope.exp - envelope.iat <= 300


async def test_the_same_signed_text_goes_through_the_room_and_to_each_site_alone(desk: Desk) -> None:
    await desk.enter("cern", "desy")
    desk.in_room()
    made = await signed_job(desk, job("cern", "desy"))
    await gathered(desk, made, 2.0, 5.0, room=ROOM)
    assert {text for _, text in desk.wire.signed} == set(made.sealed.values())
    assert {to for to, _ in desk.wire.signed} == {ROOM, f"{jid('cern')}/agent", f"{jid('desy')}/agent"}


async def test_sites_that_want_a_signature_get_the_same_request_signed(desk: Desk) -> None:
    await desk.enter("cern", "fnal")

    def reply(site: str, payload: Payload) -> Iterable[Payload]:
        assert isinstance(payload, Request)
        if site == "fnal" or desk.wire.signed:
            yield Ended(payload.id, "done")
        else:
            yield NeedsWord(payload.id, "danger", "would wipe", signature=True)

    desk.replies = reply
    with gathering(desk.fleet, None, job("cern", "fnal"), desk.clock) as made:
        await collect(desk, made)
        assert list(made.asking) == ["cern"]
        made.confirm(await signed_job(desk, made.again()))
        await made.collect()
    assert states(made) == {"cern": "done", "fnal": "done"}
    (sent,) = [order for _, order, _ in desk.wire.sent if isinstance(order, Request) and order.confirmed]
    assert (sent.id, sent.names) == (JOB_ID, ("cern",))


async def test_a_site_that_asks_for_signatures_for_ever_is_not_waited_for(desk: Desk) -> None:
    await desk.enter("cern")
    desk.replies = lambda site, payload: [NeedsWord(payload.id, "danger", "more", signature=True)]
    made = await gathered(desk, await signed_job(desk, job("cern", confirmed=True)), 3.0, 3.0)
    assert made.asking == {}
    assert states(made) == {"cern": "silent"}


async def test_an_answer_that_its_site_signed_is_known_as_such(desk: Desk) -> None:
    await desk.enter("cern")
    desk.replies = lambda site, payload: [signed(proof("cern", payload), "cern", RESULT)]
    made = await gathered(desk, job("cern"))
    assert (states(made), made.words) == ({"cern": "done"}, {"cern": Word.signed})


async def test_an_answer_to_something_else_that_a_server_asked_under_our_id_is_not_read(desk: Desk) -> None:
    await desk.enter("cern")

    def reply(site: str, payload: Payload) -> Iterable[str]:
        assert isinstance(payload, Request)
        for other in (replace(payload, line="status"), replace(payload, dry_run=True)):
            yield signed(proof("cern", other), "cern", RESULT)

    desk.replies = reply
    made = await gathered(desk, job("cern"), 3.0, 3.0)
    assert (states(made), made.words) == ({"cern": "silent"}, {"cern": Word.other})


async def test_what_answers_a_console_that_is_gone_is_no_lie_to_the_one_that_took_up_its_job(desk: Desk) -> None:
    await desk.enter("cern")
    ours = Request(JOB_ID, ("cern",), "uptime", 30.0, 1)
    first, lie = replace(ours, confirmed=True), replace(ENDED, text="down")

    def reply(site: str, payload: Payload) -> Iterable[str]:
        assert isinstance(payload, Fetch)
        yield signed(proof("cern", first, ended=lie), "cern", RESULT)  # the server found only us to bring it to
        yield signed(proof("cern", ours), "cern", RESULT)

    desk.replies = reply
    with gathering(desk.fleet, None, job("cern"), desk.clock) as made:
        made.resume([KeptRow(JOB_ID, "cern", "accepted", asked=True, bodies=(digest(body_of(ours)),))], begins=False)
        await made.fetch()
        await made.until(lambda: made.book.closed)
    assert (states(made), made.words) == ({"cern": "done"}, {"cern": Word.signed})
    assert made.book["cern"].text == ENDED.text


async def test_what_answers_another_console_that_only_looked_is_not_read_and_no_lie(desk: Desk) -> None:
    await desk.enter("cern")
    look, lie = Fetch(JOB_ID), replace(ENDED, text="down")

    def reply(site: str, payload: Payload) -> Iterable[str]:
        yield signed(proof("cern", look, ended=lie), "cern", RESULT)
        yield signed(proof("cern", payload), "cern", RESULT)

    desk.replies = reply
    made = await gathered(desk, job("cern"))
    assert (made.words, made.book["cern"].text) == ({"cern": Word.signed}, ENDED.text)


async def test_through_the_room_and_signed_an_answer_fits_what_was_sent_all_the_same(desk: Desk) -> None:
    await desk.enter("cern", "desy")
    desk.in_room()
    desk.replies = lambda site, payload: [signed(proof(site, payload), site, RESULT)]
    assert (await gathered(desk, job("cern", "desy"), room=ROOM)).words == dict.fromkeys(("cern", "desy"), Word.signed)
    made = await signed_job(desk, job("cern", "desy"))
    of = {name: digest(unseal(text).body) for name, text in made.sealed.items()}
    desk.replies = lambda site, payload: [signed(Proof(jid(site), ALICE, 1.0, ENDED, of[site]), site, RESULT)]
    assert (await gathered(desk, made, room=ROOM)).words == dict.fromkeys(("cern", "desy"), Word.signed)


async def test_an_answer_that_should_be_signed_and_is_not_is_shown_as_such(desk: Desk) -> None:
    await desk.enter("cern")
    desk.replies = lambda site, payload: [ENDED]
    made = await gathered(desk, job("cern"))
    assert (states(made), made.words) == ({"cern": "done"}, {"cern": Word.unsigned})


async def test_of_a_site_without_a_known_key_nothing_is_said(desk: Desk) -> None:
    await desk.enter("fnal")
    replies: list[Payload | str] = [ENDED, signed(proof("fnal"), "fnal", RESULT)]
    while replies:
        desk.replies = lambda site, payload: [replies.pop()]
        made = await gathered(desk, job("fnal"))
        assert (states(made), made.words) == ({"fnal": "done"}, {})


FORGED = {
    "another site's key": signed(proof("cern"), "desy", RESULT),
    "a stranger's key": signed(proof("cern"), "eve", RESULT),
    "another use of the key": signed(proof("cern"), "cern", COMMAND),
    "other words": signed(proof("cern"), "cern", RESULT).replace("up", "UP"),
}


@pytest.mark.parametrize("how", FORGED)
async def test_a_forged_answer_is_not_read_and_told(desk: Desk, how: str) -> None:
    await desk.enter("cern")
    desk.replies = lambda site, payload: [FORGED[how]]
    made = await gathered(desk, job("cern"), 3.0, 3.0)
    assert (states(made), made.words) == ({"cern": "silent"}, {"cern": Word.forged})


async def test_a_true_answer_after_a_forged_one_does_not_clear_it(desk: Desk) -> None:
    await desk.enter("cern")
    desk.replies = lambda site, payload: [FORGED["a stranger's key"], signed(proof("cern", payload), "cern", RESULT)]
    made = await gathered(desk, job("cern"))
    assert (states(made), made.words) == ({"cern": "done"}, {"cern": Word.forged})


@pytest.mark.parametrize("other", [{"to": BOB}, {"by": jid("desy")}])
async def test_an_answer_to_somebody_else_is_none_for_us(desk: Desk, other: dict[str, Any]) -> None:
    await desk.enter("cern")
    desk.replies = lambda site, payload: [signed(proof("cern", **other), "cern", RESULT)]
    assert states(await gathered(desk, job("cern"), 3.0, 3.0)) == {"cern": "silent"}
