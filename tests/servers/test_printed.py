"""What the printed configurations allow, on both servers: logins, the room, accounts made by an admin, passwords."""

import asyncio
import os
import re
import time
from pathlib import Path

import pytest
from slixmpp import JID

from amon.errors import Failed
from amon.xmpp.faults import StanzaError
from tests.clients.plain import LoginRefused, logged_in
from tests.clients.stream import direct_offer, only, starttls_offer
from tests.servers.printed import AGENTS, ALICE, PASSWORD, ROOM, SITES, Server, own, printed
from tests.xmpp.party import World

NEW = f"site-3@{AGENTS}"


def way(server: Server) -> tuple[str, str, int, Path]:
    return PASSWORD, server.host, server.c2s_port, server.ca_file


async def test_both_ports_show_the_certificate_and_take_no_plain_password(printed_server: Server) -> None:
    server = printed_server
    for domain in (server.domain, server.agents):
        offers = [
            await starttls_offer(server.host, server.c2s_port, domain, only(server.ca_file)),
            await direct_offer(server.host, server.tls_port, domain, only(server.ca_file)),
        ]
        for offer in offers:
            assert domain in offer.names
            assert "SCRAM-SHA-256" in offer.mechanisms
            assert "PLAIN" not in offer.mechanisms
            assert "iq-register" not in offer.clear + offer.encrypted
            assert "compression" not in offer.clear + offer.encrypted
        assert "<required/>" in offers[0].clear


async def test_a_message_to_a_site_that_is_away_bounces_and_one_to_a_person_waits(printed_server: Server) -> None:
    async with logged_in(SITES[0], *way(printed_server)) as site:
        site.say(ALICE, "an alarm while nobody is there")
        await site.get_roster(timeout=10)  # answered after the message was taken
    async with logged_in(ALICE, *way(printed_server)) as alice:
        assert (await alice.next_message())["body"] == "an alarm while nobody is there"
        alice.say(SITES[1], "anybody there?")
        assert (await alice.next_message())["from"] == SITES[1]


async def test_the_admin_makes_the_room_and_lets_a_site_in(printed_server: Server) -> None:
    async with logged_in(ALICE, *way(printed_server)) as alice, logged_in(SITES[0], *way(printed_server)) as site:
        await alice.join(ROOM, "alice")
        info = await alice.plugin["xep_0030"].get_info(JID(ROOM), timeout=10)
        wanted = {"muc_membersonly", "muc_nonanonymous", "muc_persistent", "muc_hidden"}
        assert wanted <= set(info["disco_info"]["features"])
        await alice.admit(ROOM, SITES[0])
        await site.join(ROOM, "site-1")
        alice.say(ROOM, "status", "groupchat")
        while (await site.next_message())["body"] != "status":
            pass
        site.say(str(alice.boundjid), "ok")
        while (await alice.next_message())["body"] != "ok":
            pass


async def test_the_admin_makes_an_account_for_a_site_which_changes_its_password(printed_server: Server) -> None:
    world = World(printed_server)
    async with world.party(ALICE, password=PASSWORD) as party:
        connection = (await party.up()).connection
        await connection.add_account(NEW, "of one day only")
        with pytest.raises(StanzaError, match="already"):
            await connection.add_account(NEW, "another")
    async with world.party(NEW, password="of one day only") as party:
        await (await party.up()).connection.change_password("my own")
    async with world.party(NEW, password="my own") as party:
        await party.up()
    with pytest.raises(LoginRefused):
        async with logged_in(NEW, "of one day only", *way(printed_server)[1:]):
            pass
    async with world.party(ALICE, password=PASSWORD) as party:
        await (await party.up()).connection.delete_account(NEW)
    with pytest.raises(LoginRefused):
        async with logged_in(NEW, "my own", *way(printed_server)[1:]):
            pass


async def test_agents_and_consoles_learn_the_server_s_time(printed_server: Server) -> None:
    for jid in (SITES[0], ALICE):
        async with World(printed_server).party(jid, password=PASSWORD) as party:
            assert abs(await (await party.up()).connection.server_time() - time.time()) < 60


async def test_the_server_has_nothing_to_say_against_its_configuration(printed_server: Server) -> None:
    lines = printed_server.log_file.read_text().splitlines()
    assert lines
    complaints = [line for line in lines if re.search(r"\t(warn|error)\t|\[(warning|error|critical)\]", line)]
    # One is about the authority of the tests, which nobody knows; the configuration itself speaks of the other.
    expected = ("Invalid certificate in", "Module mod_mam is recommended for module mod_muc")
    assert [line for line in complaints if not any(words in line for words in expected)] == []


OPTIONS = [
    (),
    ("--s2s", "partner.example"),
    ("--sites", "2000", "--rooms", "chat.other.org"),
    ("--host-certificates", "/etc/ssl/sites-ca.pem"),
]


@pytest.mark.parametrize("words", OPTIONS)
async def test_prosodyctl_has_nothing_to_say_against_it(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "certs").mkdir()
    file = tmp_path / "prosody.cfg.lua"
    # Started by root it would go on as the user `prosody`, who may not read a folder of this test.
    root = "run_as_root = true\n" if os.geteuid() == 0 else ""
    file.write_text(root + printed("prosody", *words))
    argv = ["prosodyctl", "--config", str(file), "check", "config"]
    pipe, one = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
    process = await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=one)
    said, _ = await process.communicate()
    told = said.decode().partition("Checking config...\n")[2].splitlines()
    assert [line for line in told if line.strip()] == [
        "    The following configuration files have been loaded:",
        f"      -  {file}",
        "Done.",
        "All checks passed, congratulations!",
    ]
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("there", "here"), [("nagle = false", "nagle = nowhere.at_all"), ("local burst, rate =", "local burst, rate ==")]
)
async def test_a_mistake_in_the_file_stops_the_start_and_opens_nothing(tmp_path: Path, there: str, here: str) -> None:
    with pytest.raises(Failed, match="ended at its start"):
        await own("prosody", tmp_path / "server", change=lambda text: text.replace(there, here)).start()
