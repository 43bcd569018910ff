"""Stanzas to events, one by one: who says what, and what is dropped unread."""

import re
from xml.etree.ElementTree import Element, fromstring

import pytest

from amon.errors import Invalid
from amon.xmpp.events import Bounced, Received, Seen
from amon.xmpp.incoming import read_message, read_presence
from amon.xmpp.room import Room

ME, OPS = "cern@agents.amon.test", "ops@rooms.amon.test"
ALICE = "alice@amon.test/desk"


def stanza(text: str) -> Element:
    return fromstring(re.sub(r"^<\w+", r"\g<0> xmlns='jabber:client'", text))


def presence(nick: str, jid: str | None, *codes: int, kind: str = "", extra: str = "") -> Element:
    item = f"<item jid='{jid}' role='moderator' {extra}/>" if jid else f"<item role='participant' {extra}/>"
    states = "".join(f"<status code='{code}'/>" for code in codes)
    attribute = f"type='{kind}'" if kind else ""
    user = f"<x xmlns='http://jabber.org/protocol/muc#user'>{item}{states}</x>"
    return stanza(f"<presence from='{OPS}/{nick}' {attribute}>{user}</presence>")


def joined_room() -> Room:
    room = Room(OPS, "cern")
    room.join("cern")
    room.presence(presence("alice", ALICE))
    room.presence(presence("cern", ME + "/amon", 100, 110))
    return room


def read(text: str, room: Room | None = None) -> Received | Bounced | None:
    return read_message(stanza(text), {OPS: room} if room else {}, ME)


def received(text: str, room: Room | None = None) -> Received:
    event = read(text, room)
    assert isinstance(event, Received)
    return event


def test_a_chat_line_is_from_the_address_of_the_stream() -> None:
    got = received(f"<message from='{ALICE}' type='chat' id='1'><body>!status</body></message>")
    assert got == Received("alice@amon.test", ALICE, "!status", id="1", kind="chat")


def test_addresses_are_compared_prepared() -> None:
    got = received("<message from='ALICE@Amon.Test/Desk'><body>x</body></message>")
    assert (got.sender, got.reply_to) == ("alice@amon.test", "alice@amon.test/Desk")


@pytest.mark.parametrize(
    "inner",
    [
        "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></received>",
        "<sent xmlns='urn:xmpp:carbons:2'/>",
        "<result xmlns='urn:xmpp:mam:2' id='1'/>",
        "<forwarded xmlns='urn:xmpp:forward:0'/>",
        "<event xmlns='http://jabber.org/protocol/pubsub#event'/>",
    ],
)
def test_a_wrapped_message_is_dropped_with_its_outer_body(inner: str) -> None:
    assert read(f"<message from='{ALICE}' type='chat'><body>!restart ce2</body>{inner}</message>") is None


@pytest.mark.parametrize(
    "text",
    [
        f"<message from='{ALICE}' type='headline'><body>!restart</body></message>",
        f"<message from='{ALICE}' type='groupchat'><body>!restart</body></message>",
        f"<message from='{ME}' type='chat'><body>!restart</body></message>",
        f"<message from='{ME}/other' type='chat'><body>!restart</body></message>",
        "<message type='chat'><body>!restart</body></message>",
        f"<message from='{ALICE}' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>",
        f"<message from='{ALICE}'><subject>only a subject</subject></message>",
    ],
)
def test_what_is_no_message_to_us_is_dropped(text: str) -> None:
    assert read(text) is None


def test_an_error_is_a_bounce_and_never_a_message() -> None:
    stanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"
    event = read(
        f"<message from='{ALICE}' type='error' id='7'><body>!restart</body>"
        f"<error type='cancel'><text xmlns='{stanzas}'>x</text><gone xmlns='{stanzas}'/></error></message>"
    )
    assert event == Bounced(ALICE, "7", "gone")
    assert read(f"<message from='{ALICE}' type='error'/>") == Bounced(ALICE, None, "undefined-condition")


@pytest.mark.parametrize("mark", ["<delay xmlns='urn:xmpp:delay' stamp='x'/>", "<x xmlns='jabber:x:delay' stamp='x'/>"])
def test_what_was_kept_on_the_way_is_marked(mark: str) -> None:
    assert received(f"<message from='{ALICE}'><body>late</body>{mark}</message>").delayed


def test_a_correction_is_marked() -> None:
    mark = "<replace xmlns='urn:xmpp:message-correct:0' id='0'/>"
    assert received(f"<message from='{ALICE}'><body>x</body>{mark}</message>").edited


def test_a_message_without_id_takes_its_origin_id_or_none() -> None:
    origin = "<origin-id xmlns='urn:xmpp:sid:0' id='o1'/>"
    assert received(f"<message from='{ALICE}'><body>x</body>{origin}</message>").id == "o1"
    assert received(f"<message from='{ALICE}' id='i1'><body>x</body>{origin}</message>").id == "i1"
    assert received(f"<message from='{ALICE}'><body>x</body></message>").id is None


def test_the_quote_of_a_reply_is_cut_off() -> None:
    mark = "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='9'/></fallback>"
    assert received(f"<message from='{ALICE}'><body>&gt; quoted\nyes</body>{mark}</message>").text == "yes"


def test_a_text_that_stands_for_something_we_do_not_know_is_not_read() -> None:
    mark = "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reactions:0'/>"
    assert read(f"<message from='{ALICE}'><body>!restart</body>{mark}</message>") is None


def test_the_text_beside_our_own_payload_is_kept_for_people() -> None:
    mark = "<fallback xmlns='urn:xmpp:fallback:0' for='urn:amon:1'><body/></fallback>"
    got = received(f"<message from='{ALICE}'><body>status</body>{mark}<amon xmlns='urn:amon:1'>p</amon></message>")
    assert (got.text, got.payload) == ("status", "p")


@pytest.mark.parametrize("sender", ["@", "a@b@c", "a" * 2000 + "@x.test", "\u03f9@x.test"])
def test_a_sender_that_is_no_address_is_an_error_of_one_stanza(sender: str) -> None:
    with pytest.raises(Invalid):
        read(f"<message from='{sender}'><body>x</body></message>")


def test_a_room_message_before_we_are_in_is_dropped() -> None:
    room = Room(OPS, "cern")
    room.join("cern")
    room.presence(presence("alice", ALICE))
    assert read(f"<message from='{OPS}/alice' type='groupchat'><body>x</body></message>", room) is None


def test_a_room_message_is_by_who_had_the_nick_when_it_was_said() -> None:
    room = joined_room()
    line = f"<message from='{OPS}/alice' type='groupchat'><body>x</body></message>"
    assert received(line, room).sender == "alice@amon.test"
    room.presence(presence("alice", ALICE, kind="unavailable"))
    assert received(line, room).sender is None
    room.presence(presence("alice", "eve@amon.test/x"))
    assert received(line, room).sender == "eve@amon.test"


def test_a_nick_without_a_real_address_is_nobody() -> None:
    room = joined_room()
    room.presence(presence("alice", None))
    got = received(f"<message from='{OPS}/alice' type='groupchat'><body>x</body></message>", room)
    assert (got.sender, got.reply_to) == (None, "")


def test_a_change_of_nick_takes_the_address_along() -> None:
    room = joined_room()
    room.presence(presence("alice", ALICE, 303, kind="unavailable", extra="nick='chief'"))
    assert received(f"<message from='{OPS}/chief' type='groupchat'><body>x</body></message>", room).sender
    assert "alice" not in room.occupants


def test_our_own_words_from_the_room_are_dropped_after_a_forced_change_of_our_nick_too() -> None:
    room = joined_room()
    room.presence(presence("cern", ME + "/amon", 303, 110, kind="unavailable", extra="nick='cern-2'"))
    assert (room.joined, room.nick) == (True, "cern-2")
    assert read(f"<message from='{OPS}/cern-2' type='groupchat'><body>x</body></message>", room) is None


def test_a_chat_through_a_room_is_private_even_without_saying_so() -> None:
    room = joined_room()
    for kind in ("chat", "normal"):
        got = received(f"<message from='{OPS}/alice' type='{kind}'><body>x</body></message>", room)
        assert (got.private_in_room, got.sender, got.reply_to) == (True, "alice@amon.test", f"{OPS}/alice")


def test_a_room_itself_says_nothing_to_us() -> None:
    assert read(f"<message from='{OPS}' type='groupchat'><body>!restart</body></message>", joined_room()) is None


@pytest.mark.parametrize("code", [104, 173, 174])
def test_a_room_that_may_not_be_what_it_was_is_unsafe_before_anybody_is_asked(code: int) -> None:
    room = joined_room()
    room.learned({"muc_membersonly", "muc_nonanonymous"})
    assert room.safe
    user = f"<x xmlns='http://jabber.org/protocol/muc#user'><status code='{code}'/></x>"
    assert room.settings_changed(stanza(f"<message from='{OPS}' type='groupchat'>{user}</message>"))
    assert not room.safe


def test_presence_carries_health_and_mark() -> None:
    inner = "<show>dnd</show><status>CRIT</status><health xmlns='urn:amon:health:1'>h</health>"
    seen = read_presence(stanza(f"<presence from='{ALICE}'>{inner}<site xmlns='urn:amon:site:1'>m</site></presence>"))
    assert seen == Seen("alice@amon.test", "desk", True, "dnd", "CRIT", "h", "m")
    assert read_presence(stanza(f"<presence from='{ALICE}' type='unavailable'/>")) == Seen(
        "alice@amon.test", "desk", False
    )


@pytest.mark.parametrize("kind", ["error", "probe", "subscribed", "unsubscribe"])
def test_what_is_no_presence_is_not_seen(kind: str) -> None:
    assert read_presence(stanza(f"<presence from='{ALICE}' type='{kind}'/>")) is None


def test_a_show_that_does_not_exist_is_none() -> None:
    seen = read_presence(stanza(f"<presence from='{ALICE}'><show>happy</show></presence>"))
    assert seen is not None
    assert seen.show == ""
