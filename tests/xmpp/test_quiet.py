"""No stanza and no password at any log level; the explicit trace shows stanzas and masks secrets. Late imports."""

import base64
import logging
import subprocess
import sys

import pytest

from amon.xmpp.events import Offline, Received
from tests.xmpp.party import ALICE, CERN, PASSWORD, Ear, Relay, World

SAID = "do you read this"
SECRETS = (PASSWORD, base64.b64encode(PASSWORD.encode()).decode())


async def conversation(world: World, trace: bool = False) -> None:
    async with Relay(world.server.c2s_port) as relay, world.party(CERN, trace=trace) as cern:
        await cern.settled()
        async with world.party(ALICE, trace=trace, port=relay.port) as alice:
            await alice.settled()
            relay.cut()
            await alice.ear.wait(Offline)
            await alice.up()
            alice.connection.send_payload(cern.connection.jid, SAID, id="1", body=SAID)
            await cern.ear.wait(Received)


async def test_at_debug_neither_stanzas_nor_passwords_are_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("slixmpp.xmlstream.xmlstream").setLevel(logging.DEBUG)
    await conversation(world)
    text = caplog.text
    assert "online" in text
    assert SAID not in text
    assert "<" not in text, "no markup of any kind"
    assert not any(secret in text for secret in SECRETS)
    assert not any(record.name.startswith("slixmpp") for record in caplog.records)


async def test_the_trace_shows_stanzas_and_masks_what_proves_who_we_are(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await conversation(world, trace=True)
    assert f"<body>do ({len(SAID)} characters)</body>" in caplog.text
    assert f'<amon xmlns="urn:amon:1">payload ({len(SAID)} characters)</amon>' in caplog.text
    assert SAID not in caplog.text
    assert '<challenge xmlns="urn:ietf:params:xml:ns:xmpp-sasl">***</challenge>' in caplog.text
    assert "<response" not in caplog.text
    assert 'previd="***"' in caplog.text
    assert not any(secret in caplog.text for secret in SECRETS)


class Clumsy(Ear):
    """A listener with a bug."""

    def received(self, message: Received) -> None:
        self.hear(message)
        raise RuntimeError(message.text)


async def test_an_error_of_the_listener_costs_one_line_and_reaches_nobody(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with world.party(ALICE) as alice, world.party(CERN, ear=Clumsy()) as cern:
        await alice.settled()
        await cern.settled()
        for _ in range(2):
            alice.connection.say(cern.connection.jid, SAID)
        await cern.ear.until(lambda: len(cern.ear.all(Received)) == 2)
        await cern.connection.roster()
        await alice.connection.roster()
        assert cern.connection.online
        assert [type(event).__name__ for event in alice.ear.heard] == ["Online"], "neither an answer nor a bounce"
    lines = [record.getMessage() for record in caplog.records if "dropped" in record.getMessage()]
    assert len(lines) == 2
    assert lines[0].startswith("a Received was dropped: RuntimeError at test_quiet.py:")
    assert SAID not in caplog.text


def test_reading_a_configuration_imports_no_slixmpp() -> None:
    code = "import sys, amon.xmpp.events, amon.xmpp.login, amon.xmpp.tls; sys.exit('slixmpp' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_connection_imports_neither_proxy_nor_name_server_libraries_of_its_own() -> None:
    code = "import sys, amon.xmpp.connection; sys.exit('python_socks' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
