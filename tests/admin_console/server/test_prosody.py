"""The configuration text: what must stand in it, what must not get into it, and the one line that makes it quick."""

import time
from pathlib import Path
from statistics import median

import pytest

from admin_console.server import PrivateServer
from admin_console.server.certificate import Certificate
from admin_console.server.prosody import Setup, configuration, lua_string
from amon.errors import Invalid
from tests.clients.plain import logged_in

ALICE, SITE, PASSWORD = "alice@amon.test", "site-1@agents.amon.test", "a word"
BODY = "x" * 10_240


def setup(folder: Path, *, as_root: bool = False, admins: tuple[str, ...] = (ALICE,)) -> Setup:
    return Setup(
        folder=folder,
        domain="amon.test",
        agents="agents.amon.test",
        rooms="rooms.amon.test",
        admins=admins,
        host="127.0.0.1",
        c2s=5222,
        direct_tls=5223,
        certificate=Certificate(folder / "ca.pem", folder / "server.pem", folder / "server.key"),
        as_root=as_root,
        contacts=False,
    )


@pytest.mark.parametrize(
    "line",
    [
        "nagle = false",
        "smacks_hibernation_time = 60",
        'modules_disabled = { "s2s" }',
        'modules_disabled = { "offline" }',
        "allow_registration = false",
        "c2s_require_encryption = true",
        "max_history_messages = 0",
        "muc_room_default_members_only = true",
        "s2s_ports = { }",
        "http_ports = { }",
        'admins = { "alice@amon.test" }',
    ],
)
def test_the_line_is_there(line: str) -> None:
    assert line in configuration(setup(Path("/srv/amon")))


def test_it_stays_root_only_where_root_starts_it() -> None:
    assert "run_as_root" not in configuration(setup(Path("/srv/amon")))
    assert "run_as_root = true" in configuration(setup(Path("/srv/amon"), as_root=True))


def test_a_path_with_quotes_and_backslashes_stays_one_string() -> None:
    assert r'data_path = "/srv/a\"b\\c; admins = {}/data"' in configuration(setup(Path('/srv/a"b\\c; admins = {}')))


@pytest.mark.parametrize("text", ["a\nb", "a\0b", "\x7f", "a\u202eb"])
def test_control_characters_do_not_get_into_a_configuration(text: str) -> None:
    with pytest.raises(Invalid, match="control characters"):
        lua_string(text)


async def test_an_odd_folder_name_serves_like_any_other(tmp_path: Path) -> None:
    async with PrivateServer(tmp_path / 'it\'s "mine" \\ %s {x}') as server:
        assert server.log_file.exists()


async def test_large_messages_are_not_held_back_by_nagle(tmp_path: Path) -> None:
    """The same on a server without that one line: five times slower at least, in fact some fifty times."""
    quick = await round_trip(PrivateServer(tmp_path / "quick", iterations=4096), 8)
    slow = await round_trip(PrivateServer(tmp_path / "slow", iterations=4096, configure=with_nagle), 8)
    assert slow / quick > 5, f"{quick:.4f} s with nagle = false, {slow:.4f} s without"


def with_nagle(given: Setup) -> str:
    return configuration(given).replace("nagle = false; ", "")


async def round_trip(server: PrivateServer, count: int) -> float:
    """Seconds for a message of 10 KB there and back: the median, as other tests run beside this one."""
    for jid in (ALICE, SITE):
        await server.add_account(jid, PASSWORD)
    took: list[float] = []
    async with (
        server,
        logged_in(ALICE, PASSWORD, server.host, server.c2s_port, server.ca_file) as alice,
        logged_in(SITE, PASSWORD, server.host, server.c2s_port, server.ca_file) as site,
    ):
        site.add_event_handler("message", lambda message: site.say(str(message["from"]), message["body"]))
        for _ in range(count):
            began = time.perf_counter()
            alice.say(str(site.boundjid), BODY)
            await alice.next_message()
            took.append(time.perf_counter() - began)
    return median(took)
