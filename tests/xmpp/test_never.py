"""What this client never does, whoever offers it: compression (XEP-0138), carbons (XEP-0280), an archive (XEP-0313)."""

import asyncio
from dataclasses import replace
from pathlib import Path
from random import Random

from amon.xmpp.connection import Connection
from amon.xmpp.events import Online
from amon.xmpp.login import Login
from amon.xmpp.tls import tls_context
from tests.xmpp.clientca import ClientCa
from tests.xmpp.falseserver import HEADER, SASL, FalseServer, login
from tests.xmpp.party import CERN, QUICK, Ear

_COMPRESSION = "<compression xmlns='http://jabber.org/features/compress'><method>zlib</method></compression>"
_BIND = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
_MORE = (
    "<sm xmlns='urn:xmpp:sm:3'/><csi xmlns='urn:xmpp:csi:0'/><ver xmlns='urn:xmpp:features:rosterver'/>"
    "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='x' ver='x'/>"
)


async def generous(server: FalseServer) -> None:
    """Offers all it can, before the login and after, and then lets the client talk."""
    await server.offer(login("EXTERNAL") + _COMPRESSION)
    await server.hear("</auth>")
    server.everything = server.said
    server.said = ""
    server.say(f"<success xmlns='{SASL}'/>")
    await server.hear("<stream:stream")
    server.say(f"{HEADER}<stream:features>{_BIND}{_COMPRESSION}{_MORE}</stream:features>")
    ident = (await server.hear("<iq[^>]* id=[\"']([^\"']+)[\"']"))[1]
    jid = f"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>{CERN}/amon</jid></bind>"
    server.say(f"<iq type='result' id='{ident}'>{jid}</iq>")
    await server.hear("<enable")
    server.say("<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/>")
    await server.hear("the last word")
    await server.hear("jabber:iq:roster")
    server.heard.set()


async def test_neither_compression_nor_carbons_nor_an_archive_is_asked_for(tmp_path: Path) -> None:
    certificate, key = ClientCa(tmp_path / "clients").for_account(CERN)
    async with FalseServer(tmp_path / "false", generous, direct_tls=True, names=("agents.amon.test",)) as server:
        way = Login(CERN, "", host="127.0.0.1", port=server.port, tls="direct")
        way = replace(way, certificate=certificate, certificate_key=key)
        ear, context = Ear(), tls_context(server.ca_file, certificate, key)
        connection = Connection(way, ear, context=context, random=Random(1), times=QUICK)
        connection.set_presence("", "OK 1/1")
        task = asyncio.create_task(connection.run())
        await ear.wait(Online)
        connection.say(CERN, "the last word")
        async with asyncio.timeout(10):
            await server.heard.wait()
        task.cancel()
        await asyncio.wait((task,))
        everything = server.everything + server.said
    assert "jabber:iq:roster" in everything, "what it does ask for is seen"
    for never in ("compress", "urn:xmpp:carbons", "urn:xmpp:mam", "urn:xmpp:csi"):
        assert never not in everything
