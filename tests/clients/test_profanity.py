"""A person with a real client on the private server: one to one, in a room, and nothing left behind."""

from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from admin_console.server import PrivateServer
from tests.clients.plain import logged_in
from tests.clients.profanity import NeverCame, Profanity

pytestmark = pytest.mark.clients
ALICE, BOB, PASSWORD = "alice@amon.test", "bob@amon.test", "a word = and [another]"
ROOM = "ops@rooms.amon.test"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[PrivateServer]:
    private = PrivateServer(tmp_path / "server", admins=(ALICE,))
    for jid in (ALICE, BOB):
        await private.add_account(jid, PASSWORD)
    async with private:
        yield private


def person(server: PrivateServer, folder: Path, jid: str) -> Profanity:
    return Profanity(folder / jid, jid, PASSWORD, host=server.host, port=server.c2s_port)


async def test_two_people_talk_to_each_other(server: PrivateServer, tmp_path: Path) -> None:
    async with person(server, tmp_path, ALICE) as alice, person(server, tmp_path, BOB) as bob:
        await alice.connect()
        await bob.connect()
        await alice.message(BOB, 'is $HOME; `ls` & <b> "well"?')
        await bob.wait_for(
            r'RECV: <message [^\n]*from="alice@amon\.test/profanity".*<body>is \$HOME; `ls` &amp; &lt;b&gt; '
        )
        await bob.message(ALICE, "all is well")
        await alice.wait_for(r'RECV: <message [^\n]*from="bob@amon\.test/profanity".*<body>all is well</body>')
        assert "all is well" in await alice.wait_screen("all is well")


async def test_a_person_speaks_in_the_room_and_sees_the_answer(server: PrivateServer, tmp_path: Path) -> None:
    async with (
        logged_in(BOB, PASSWORD, server.host, server.c2s_port, server.ca_file) as bob,
        person(server, tmp_path, ALICE) as alice,
    ):
        await alice.connect()
        await alice.join(ROOM)
        await alice.type(f"/affiliation set member {BOB}")
        await alice.wait_for(rf'SENT: <iq id="([^"]+)"[^\n]*{BOB}[\s\S]*RECV: <iq [^\n>]*id="\1"')
        await bob.join(ROOM, "bob")
        await alice.say("!status")
        asked = await bob.next_message()
        bob.say(ROOM, f"alice: you said {asked['body']}", "groupchat")
        await alice.wait_for(rf'RECV: <message [^\n]*from="{ROOM}/bob"[^\n]*<body>alice: you said !status</body>')


async def test_what_does_not_come_is_said_with_what_came(server: PrivateServer, tmp_path: Path) -> None:
    async with person(server, tmp_path, ALICE) as alice:
        await alice.connect()
        with pytest.raises(NeverCame, match=r"(?s)no such text.*within 0.3 s"):
            await alice.wait_for("no such text", within=0.3)


async def test_no_tmux_and_no_client_stays_behind(server: PrivateServer, tmp_path: Path) -> None:
    async with person(server, tmp_path, ALICE) as alice:
        await alice.connect()
        own = [
            running
            for running in psutil.process_iter(["cmdline"])
            if str(alice.log_file) in (running.info["cmdline"] or []) or alice.tmux in (running.info["cmdline"] or [])
        ]
        assert {"tmux: server", "profanity"} <= {running.name() for running in own}
    _, alive = psutil.wait_procs(own, timeout=10)
    assert [left for left in alive if left.status() != psutil.STATUS_ZOMBIE] == []
    assert not Path(alice.tmux).parent.exists()
