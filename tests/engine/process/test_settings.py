"""The engine's configuration: what is taken, what is refused in which words, and what each core gets of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from amon.engine.desk.server import Account
from amon.engine.messages import Limits
from amon.engine.program.configuration import Loaded, World, identity_of, kept, later, limits_of, load
from amon.engine.program.printed import configuration_example
from amon.engine.program.settings import EVERYWHERE, EngineSettings, TenantSettings

USERS = {"amon": 990, "root": 0}
GROUPS = {"noc": 2000, "amon-engine": 991}
GOOD = '[tenants.site]\nusers = ["amon"]\n'


def world() -> World:
    return World(World().uid, frozenset({0, 1}), USERS.__getitem__, GROUPS.__getitem__, lambda: "here")


Load = Callable[[str], Loaded]


@pytest.fixture
def read(tmp_path: Path) -> Load:
    def read(text: str, mode: int = 0o644) -> Loaded:
        path = tmp_path / "engine.toml"
        path.write_text(text)
        path.chmod(mode)
        return load(path, world())

    return read


def test_a_tenant_is_enough(read: Load) -> None:
    loaded = read(GOOD)
    assert (loaded.problems, loaded.notes) == ([], [])
    assert loaded.settings == EngineSettings(tenants={"site": TenantSettings(users=("amon",))})
    assert loaded.accounts == (Account("site", frozenset({990}), frozenset()),)


def test_by_default_little_is_sent_and_loopback_is_not_probed(read: Load) -> None:
    settings = read(GOOD).settings
    assert settings is not None
    assert (settings.rate, settings.tenants["site"].rate, settings.dedicated) == (10_000, 1_000, False)
    assert settings.tenants["site"].allow == EVERYWHERE
    assert identity_of(settings, "here") == "amon-engine of here"


def test_users_and_groups_may_be_numbers(read: Load) -> None:
    loaded = read('[tenants.site]\nusers = ["1001"]\ngroups = ["noc", "5"]\n')
    assert loaded.accounts == (Account("site", frozenset({1001}), frozenset({2000, 5})),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "tenants: none is given: nobody could use this engine; next: see [tenants.site] in the example"),
        ("rate = 0\n" + GOOD, "rate: must be at least 0.01"),
        ("raet = 5\n" + GOOD, "raet: is not known here; did you mean rate?"),
        ('bytes = "1 kg"\n' + GOOD,
         "bytes: 'kg' is not a unit of this quantity; expected a size such as '64 KiB', '10 MB' or '512 B'"),
        ('way = "fast"\n' + GOOD, "way: expected one of auto, xdp, xsk+ring, packet+ring, raw, ping"),
        ("cores = [0, 7]\n" + GOOD, "cores: there is no core 7 for this process, but 0, 1"),
        ('cores = [0, 1]\nway = "xdp"\ndedicated = true\n' + GOOD,
         "way: xdp takes all queues of an interface, so one process only can have it, not 2; next: one core, or another"
         " way"),
        ("cores = [0, 1]\ndedicated = true\n" + GOOD,
         "dedicated: would have xdp taken, which takes all queues of an interface, so one process only can have it, not"
         " 2; next: one core, or false"),
        ("cores = [1, 1]\n" + GOOD, "cores: 1 is given twice"),
        ('interfaces = ["eth0", "eth0"]\n' + GOOD, "interfaces: eth0 is given twice"),
        ('socket = "here"\n' + GOOD, "socket: here is relative; write the whole path"),
        (f'socket = "/{"x" * 120}"\n' + GOOD, "socket: is longer than the 102 bytes a socket's path may have"),
        ('group = "nobodys"\n' + GOOD,
         "group: there is no group nobodys on this host; next: make it, or write its number"),
        ('identity = "über"\n' + GOOD, "identity: must match [ -~]*"),
        ('deny = ["192.0.2.1/24"]\n' + GOOD,
         "deny[0]: 192.0.2.1/24 is an address in a network; write 192.0.2.0/24, or the address alone"),
        ('[tenants.site]\nusers = ["amon"]\nallow = ["::/0", "x"]\n',
         "tenants.site.allow[1]: 'x' is no network; write 192.0.2.0/24, 2001:db8::/32 or one address"),
        ('[tenants.site]\nusers = ["alice"]\n',
         "tenants.site.users: there is no user alice on this host; next: make it, or write its number"),
        ('[tenants."a b"]\nusers = ["amon"]\n', "tenants.a b: this name must match [A-Za-z0-9][A-Za-z0-9._-]*"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_words(read: Load, text: str, said: str) -> None:
    loaded = read(text)
    assert [str(one) for one in loaded.problems] == [said]
    assert loaded.settings is None


def test_a_mistake_hides_no_other(read: Load) -> None:
    loaded = read('rate = -1\ndeny = ["x"]\n[tenants.site]\nusers = ["alice"]\nwieght = 2\n')
    assert [one.path for one in loaded.problems] == ["rate", "tenants.site.wieght", "deny[0]", "tenants.site.users"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tenants.site]\n", "tenants.site: has neither users nor groups: only root may speak for it"),
        ('[tenants.site]\nusers = ["amon"]\nallow = []\n', "tenants.site.allow: is empty: it may have nothing probed"),
        (GOOD + "rate = 20000\n",
         "tenants.site.rate: 20000 is more than the 10000 of all tenants together, which is what counts"),
        ('cores = [0, 1]\nway = "raw"\ndedicated = true\n[tenants.site]\n',
         "tenants.site: has neither users nor groups: only root may speak for it"),
        ('way = "xdp"\ncores = [1]\n' + GOOD,
         "way: xdp attaches a program to the interface; other programs of that kind are refused"),
    ],
)  # fmt: skip
def test_what_is_odd_is_noted_and_hinders_nothing(read: Load, text: str, said: str) -> None:
    loaded = read(text)
    assert [str(one) for one in loaded.notes] == [said]
    assert loaded.problems == []


def test_a_file_that_others_can_change_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "engine.toml"
    path.write_text(GOOD)
    path.chmod(0o666)
    (problem,) = load(path, world()).problems
    assert "has mode 0666, so others can change it; next: chmod go-w" in problem.text


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff", "is not text in UTF-8"), (b"rate = \n", "the value is missing"), (None, "next: amon-engine example >")],
)
def test_a_file_that_is_none_is_told(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "engine.toml"
    if content is not None:
        path.write_bytes(content)
    (problem,) = load(path, world()).problems
    assert said in problem.text


def test_the_example_is_a_good_configuration(read: Load) -> None:
    loaded = read(configuration_example())
    assert (loaded.problems, loaded.notes) == ([], [])
    assert loaded.settings == EngineSettings(tenants={"site": TenantSettings(users=("amon",))})


def test_every_commented_key_of_the_example_is_taken(read: Load) -> None:
    text = configuration_example()
    keys = [line.removeprefix("# ") if " = " in line else line for line in text.splitlines()]
    loaded = read("\n".join(keys).replace("[2, 3]", "[0, 1]"))
    assert loaded.problems == []
    assert loaded.settings is not None
    assert loaded.settings.cores == (0, 1)


def test_cores_share_the_limits_so_that_all_together_keep_them() -> None:
    settings = EngineSettings(rate=900, bytes=3_000_000, in_flight=10)
    assert limits_of(settings, 3) == Limits(rate=300, bytes=1_000_000, in_flight=3)
    assert limits_of(TenantSettings(in_flight=1), 4).in_flight == 1


def test_what_only_a_restart_takes_over_is_named_and_stays() -> None:
    old = EngineSettings(way="raw", rate=10, cores=(1,))
    new = EngineSettings(way="ping", rate=20, cores=(2,), identity="x")
    assert later(old, new) == ["identity", "way", "cores"]
    assert kept(old, new) == EngineSettings(way="raw", rate=20, cores=(1,))
