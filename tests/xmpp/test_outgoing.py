"""What we say: to machines, to people, in rooms; and that nothing we say can break the stream."""

import ssl
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from admin_console.server.certificate import certificate
from amon.xmpp import names, outgoing
from amon.xmpp.markup import legal, serialise
from amon.xmpp.tls import tls_context


def children(element: Element) -> set[str]:
    return {child.tag.rpartition("}")[2] for child in element}


def test_a_payload_to_one_address_is_stored_nowhere() -> None:
    made = outgoing.payload_message("a@b/c", '{"x":1}', id="1", body=None, kind="normal")
    assert (made.get("type"), made.get("id"), made.findtext(names.AMON)) == ("normal", "1", '{"x":1}')
    assert children(made) == {"amon", "no-store"}


def test_a_body_beside_a_payload_is_marked_as_standing_for_it() -> None:
    made = outgoing.payload_message("a@b/c", "p", id="1", body="status", kind="normal")
    fallback = made.find(names.FALLBACK)
    assert fallback is not None
    assert fallback.get("for") == "urn:amon:1"
    assert children(made) == {"body", "fallback", "amon", "no-store", "no-copy"}


def test_what_is_said_in_a_room_may_be_kept_by_its_archive() -> None:
    made = outgoing.payload_message("ops@rooms", "p", id="1", body="!status", kind="groupchat")
    assert children(made) == {"body", "fallback", "amon"}


def test_an_answer_to_a_person_ends_the_typing_and_may_point_at_the_question() -> None:
    made = outgoing.text_message("a@b/c", "done", id="1", kind="chat", in_reply_to="q7", unstyled=True)
    reply = made.find(names.REPLY)
    assert reply is not None
    assert (reply.get("to"), reply.get("id")) == ("a@b/c", "q7")
    assert children(made) == {"body", "reply", "unstyled", "active"}


def test_a_correction_names_the_message_that_it_takes_the_place_of() -> None:
    made = outgoing.text_message("a@b/c", "80 %", id="2", kind="chat", in_reply_to=None, unstyled=False, replaces="1")
    replace = made.find(names.REPLACE)
    assert replace is not None
    assert (made.get("id"), replace.get("id")) == ("2", "1")


def test_typing_is_shown_and_stored_nowhere() -> None:
    assert children(outgoing.chat_state("a@b/c", "composing")) == {"composing", "no-store"}


def test_rooms_do_not_carry_the_structured_health() -> None:
    to_all = outgoing.presence("dnd", "CRIT", "{}", "m1")
    assert children(to_all) == {"show", "status", "health", "site"}
    assert children(outgoing.presence("dnd", "CRIT", "{}", "m1", "ops@rooms/cern")) == {"show", "status"}
    assert children(outgoing.presence("", "", None, None)) == set()


@pytest.mark.parametrize("bad", ["\0", "\x1b[31m", "\ufffe", "\ud800", "\x7f\x08"])
def test_what_xml_cannot_carry_is_replaced_and_not_sent(bad: str) -> None:
    made = outgoing.text_message("a@b", f"log: {bad}.", id=bad, kind="chat", in_reply_to=None, unstyled=False)
    text = serialise(made)
    assert "\ufffd" in text
    assert text == legal(text)
    text.encode()


def test_markup_in_a_text_stays_text() -> None:
    made = outgoing.text_message("a@b", "</body><x a='\"'>&", id="1", kind="chat", in_reply_to=None, unstyled=False)
    assert "<body>&lt;/body&gt;&lt;x a='\"'&gt;&amp;</body>" in serialise(made)


def test_tls_is_new_enough_and_says_that_it_is_for_xmpp(tmp_path: Path) -> None:
    context = tls_context(certificate(tmp_path, ("amon.test",), "127.0.0.1").ca)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED
