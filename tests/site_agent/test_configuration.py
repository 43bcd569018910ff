"""A configuration is read whole: every mistake at once, each with its path and the next step; no secret is told."""

import os
from pathlib import Path

import pytest

from amon.fields import Secret
from modules.uptime import Settings, UptimeModule
from site_agent.configuration import load
from site_agent.findings import Group
from tests.site_agent.world import GOOD, Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_good_file_says_what_the_agent_is_to_be(place: Place) -> None:
    configuration = place.configuration(GOOD)
    (plan,) = configuration.accounts
    assert (plan.name, plan.site, plan.login.jid, plan.login.password) == (
        "main", "site-1", "site-1@agents.example.org", "hush",
    )  # fmt: skip
    assert (plan.login.rooms, plan.login.nick, plan.revealed, plan.prefix) == (
        ("ops@rooms.example.org",), "site-1", None, "!",
    )  # fmt: skip
    (spec,) = configuration.specs
    assert (spec.name, spec.kind, spec.cls, spec.settings) == ("uptime", "uptime", UptimeModule, Settings(60.0))


ACCOUNT = 'state = "$STATE"\n[account.main]\n'
WITH_PASSWORD = ACCOUNT + 'jid = "site-1@a.example.org"\npassword_file = "$PASSWORD"\n'
INSTANCE = GOOD + "[instance.x]\n"

NO_SITE = "cannot be the name of a site: in a target it means something else; take another address"
BROKEN = [
    ('state = "$STATE"', ["account: no account is given: nobody could reach this agent; next: see [account.main] in "
          "`amon-agent example`"]),
    ('state = "$STATE"\naccount = "x"', ["account: expected a table, got text"]),
    ("[account.main", ["line 1, column 14: the name of a table is not closed: `]` is missing\n  [account.main\n"
                       "               ^"]),
    (GOOD.replace("password_file", "pasword_file"),
     ["account.main.pasword_file: is not known here; did you mean password_file or password or ca_file?"]),
    (ACCOUNT + 'password = "x"', ["account.main.jid: is missing (this agent's address)"]),
    (ACCOUNT + 'jid = "nobody"\npassword_file = "$PASSWORD"', [r"account.main.jid: must match [^@/\s]+@[^@/\s]+"]),
    (ACCOUNT + 'jid = "a@b_c..d"\npassword_file = "$PASSWORD"',
     ["account.main.jid: 'a@b_c..d' is no address such as name@example.org"]),
    (ACCOUNT + 'jid = "all@a.example.org"\npassword_file = "$PASSWORD"',
     [f"account.main.jid: 'all' {NO_SITE}"]),
    (ACCOUNT + 'jid = "s*@a.example.org"\npassword_file = "$PASSWORD"',
     [f"account.main.jid: 's*' {NO_SITE}"]),
    (ACCOUNT + 'jid = "s@a.example.org"\n',
     ["account.main: no password is given; give exactly one of password, password_file, credential, or a "
      "`certificate`"]),
    (WITH_PASSWORD + 'credential = "x"\n',
     ["account.main: password_file and credential are given; give exactly one of password, password_file, credential"]),
    (WITH_PASSWORD + 'port = 0\n', ["account.main.port: must be at least 1"]),
    (WITH_PASSWORD + 'host = "xmpp.example.org:5222"\n',
     ["account.main.host: 'xmpp.example.org:5222' is neither a host name nor an address; the port has a key of its own,"
      " `port`"]),
    (WITH_PASSWORD + 'tls = "none"\n', ["account.main.tls: expected one of starttls, direct"]),
    (WITH_PASSWORD + 'proxy = "socks4://h:1"\n',
     ["account.main.proxy: `proxy` looks like http://proxy.example.org:3128 or "
      "socks5://user:password@proxy.example.org:1080"]),
    (WITH_PASSWORD + 'proxy = 7\n', ["account.main.proxy: is not what is expected here"]),
    (WITH_PASSWORD + 'ca_file = "ca.pem"\n', ["account.main.ca_file: ca.pem is relative; write the whole path"]),
    (WITH_PASSWORD + 'ca_file = "$HERE/no.pem"\n', ["account.main.ca_file: $HERE/no.pem does not exist"]),
    (WITH_PASSWORD + 'ca_file = "$PASSWORD"\n',
     ["account.main.ca_file: $PASSWORD holds no CA certificate in PEM form"]),
    (WITH_PASSWORD + 'pins = ["sha256/AAAA"]\n',
     ["account.main.pins[0]: must match sha256/[A-Za-z0-9+/]{43}="]),
    (WITH_PASSWORD + 'certificate_key = "$PASSWORD"\n',
     ["account.main.certificate_key: is of no use without `certificate`"]),
    (WITH_PASSWORD + 'certificate = "tls.pem"\n',
     ["account.main.certificate: tls.pem is relative; write the whole path"]),
    (WITH_PASSWORD + 'certificate = "$HERE/no.pem"\n', ["account.main.certificate: $HERE/no.pem does not exist"]),
    (WITH_PASSWORD + 'certificate = "$PASSWORD"\n',
     ["account.main.certificate: $PASSWORD: there is no certificate with its key in PEM form"]),
    (WITH_PASSWORD + 'rooms = ["r@m.example.org", "R@m.example.org"]\n',
     ["account.main.rooms[1]: R@m.example.org stands here twice"]),
    (WITH_PASSWORD + 'reveal = ["uptme"]\n[instance.uptime]\n',
     ["account.main.reveal[0]: no instance is called 'uptme'; did you mean uptime?"]),
    (WITH_PASSWORD + 'policy = { admin = ["alice"] }\n',
     ["account.main.policy.admin[0]: 'alice' is not a bare address like alice@example.org"]),
    (WITH_PASSWORD + 'policy = { admin = ["x@a.example.org"] }\n',
     ["account.main.policy.admin[0]: 'x@a.example.org' is in the agents' own domain, which may never ask; "
      "use another"]),
    (WITH_PASSWORD + 'policy = { amdin = [] }\n',
     ["account.main.policy.amdin: is not known here; did you mean admin?"]),
    (WITH_PASSWORD + '[account.two]\njid = "SITE-1@a.example.org"\npassword_file = "$PASSWORD"\n',
     ["account.two.jid: SITE-1@a.example.org is the address of account.main too; leave one"]),
    (GOOD + "[instance.agent]\nmodule = 'uptime'\n",
     ["instance.agent: 'agent' is the agent's own; give the instance another name, and `module = 'agent'`"]),
    (GOOD + "[instance.all]\nmodule = 'uptime'\n",
     ["instance.all: 'all' is a word of the target language; give the instance another name, and `module = 'all'`"]),
    (GOOD.replace("settle", "setle"), ["instance.uptime.settings.setle: is not known here; did you mean settle?"]),
    (GOOD.replace("1 min", "1 parsec"),
     ["instance.uptime.settings.settle: 'parsec' is not a unit of this quantity; expected a duration such as '30 s', "
      "'5 min' or '1 h 30 min'"]),
    (GOOD + '[instance.service.settings.services.web]\ndriver = "systemd"\n',
     ["instance.service.settings.services.web.unit: missing; driver systemd needs it"]),
    (GOOD.replace('"$STATE"', '"state"'), ["state: state is relative; write the whole path"]),
    (GOOD.replace('"$STATE"', '"$PASSWORD"'), ["state: $PASSWORD is not a directory"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_a_broken_file_says_exactly_what_is_wrong(place: Place, text: str, expected: list[str]) -> None:
    told = [one.replace("$PASSWORD", str(place.password)).replace("$HERE", str(place.folder)) for one in expected]
    assert place.problems(text) == told


def test_all_mistakes_of_all_kinds_are_told_at_once(place: Place) -> None:
    place.password.chmod(0o644)
    text = """
    sate = "x"
    state = "state"
    [account.main]
    jid = "site-1@agents.example.org"
    password_file = "$PASSWORD"
    policy = { owner = ["root"] }
    [account.two]
    jid = 3
    hots = "x"
    [instance.uptime.settings]
    settle = -1
    [instance.service.settings.services.web]
    driver = "process"
    """
    assert [problem.partition(": ")[0] for problem in place.problems(text)] == [
        "sate", "account.two.hots", "account.two.jid", "state", "instance.uptime.settings.settle",
        "instance.service.settings.services.web.argv", "account.main.password_file", "account.main.policy.owner[0]",
    ]  # fmt: skip


def test_an_unknown_key_hides_nothing_else_in_its_table_and_makes_no_note(place: Place) -> None:
    loaded = place.load(WITH_PASSWORD + '[account.main.policy]\nadmin = ["alice"]\noprator = ["bob@example.org"]\n')
    assert [str(one) for one in loaded.problems] == [
        "account.main.policy.oprator: is not known here; did you mean operator?",
        "account.main.policy.admin[0]: 'alice' is not a bare address like alice@example.org",
    ]
    assert loaded.notes == []
    assert place.load(WITH_PASSWORD + 'policy = { oprator = ["bob@example.org"] }').notes == []


def test_a_module_is_asked_about_what_is_in_order_beside_a_mistake(place: Place) -> None:
    problems = place.problems(
        GOOD
        + """
        [instance.service.settings.services]
        web = { driver = "systemd", unit = "apache2", retsart = {} }
        ce = { driver = "process", agrv = ["/bin/x"], directory = "here", check = { htpt = "x" } }
        se = { driver = "systmd", unit = "x" }
        s3 = { driver = "systemd", unit = "s3.service", check = { tcp = "x", http = 5 } }
        ok = { driver = "systemd", unit = "ok" }
        """
    )
    path = "instance.service.settings.services."
    assert all(one.startswith(path) for one in problems)
    assert sorted(one.removeprefix(path).partition(":")[0] for one in problems) == [
        "ce.agrv", "ce.check.htpt", "ce.directory", "ok.unit", "s3.check.http", "s3.check.tcp",
        "se.driver", "web.retsart", "web.unit",
    ]  # fmt: skip


def test_a_module_that_breaks_over_what_is_left_of_its_settings_leaves_the_mistakes_to_be_told(tmp_path: Path) -> None:
    place = Place(tmp_path, modules={"breaks": "tests.site_agent.samples:Breaks"})
    loaded = place.load(GOOD.replace("uptime", "breaks").replace('settle = "1 min"', "odd = {}, todken = 'x'"))
    assert [str(one) for one in loaded.problems] == [
        "instance.breaks.settings.todken: is not known here; did you mean token?"
    ]
    assert loaded.specs == []


def test_a_module_that_does_not_load_stops_nothing_and_has_its_reason(place: Place) -> None:
    configuration = place.configuration(GOOD + "[instance.broken]\n[instance.web]\nmodule = 'servce'\n")
    reasons = {spec.name: spec.reason for spec in configuration.specs if spec.cls is None}
    assert "does not load: No module named 'tests.site_agent.nowhere'" in reasons["broken"]
    assert reasons["web"] == "no module 'servce' is installed; did you mean service?"


def test_a_module_that_breaks_over_its_settings_is_that_instances_trouble_alone(tmp_path: Path) -> None:
    samples = {name: f"tests.site_agent.samples:{name.title()}" for name in ("plain", "breaks", "keeps")}
    place = Place(tmp_path, modules=samples)
    configuration = place.configuration(GOOD.replace("uptime", "breaks").replace('settle = "1 min"', "odd = {}"))
    assert [spec.reason for spec in configuration.specs] == [
        "module 'breaks' cannot read its settings: RuntimeError: no look"
    ]
    wrong_hint = GOOD.replace("uptime", "keeps").replace('settle = "1 min"', "odd = { a = 1 }")
    (reason,) = [spec.reason for spec in place.configuration(wrong_hint).specs]
    assert reason.startswith("module 'keeps' cannot read its settings: TypeError: no conversion to")


def test_a_module_without_settings_is_not_given_any(tmp_path: Path) -> None:
    place = Place(tmp_path, modules={"plain": "tests.site_agent.samples:Plain"})
    assert place.problems(GOOD.replace("uptime", "plain")) == [
        "instance.plain.settings: module plain takes no settings; remove settle"
    ]


def test_a_secret_among_a_modules_settings_makes_the_file_private(tmp_path: Path) -> None:
    place = Place(tmp_path, modules={"keeps": "tests.site_agent.samples:Keeps"})
    text = GOOD.replace("uptime", "keeps").replace('settle = "1 min"', 'token = "hush"')
    assert place.problems(text, 0o600) == []
    (problem,) = place.problems(text, 0o644)
    assert "has mode 0644, but a secret is for one reader only" in problem


def test_several_instances_of_one_module_have_their_own_settings(place: Place) -> None:
    configuration = place.configuration(GOOD + "[instance.second]\nmodule = 'uptime'\n")
    assert [(spec.name, spec.kind, spec.settings.settle) for spec in configuration.specs] == [
        ("uptime", "uptime", 60.0), ("second", "uptime", 300),
    ]  # fmt: skip


def test_a_missing_file_says_how_to_begin(place: Place) -> None:
    (problem,) = load(place.path, place.world()).problems
    assert str(problem) == (
        f"{place.path} does not exist; next: amon-agent example > {place.path}, then put your addresses into it"
    )


def test_a_file_that_is_not_utf_8_says_on_which_line(place: Place) -> None:
    place.path.write_bytes(b'log = "info"\n# gr\xfcn\n')
    place.path.chmod(0o600)
    (problem,) = load(place.path, place.world()).problems
    assert str(problem) == "line 2: this is not text in UTF-8; save the file as UTF-8"


# Passwords


@pytest.mark.parametrize(
    ("content", "password"), [("hush", "hush"), ("hush\n", "hush"), ("hush\r\n", "hush"), (" é \n", " é ")]
)
def test_only_the_line_end_is_taken_off_a_password(place: Place, content: str, password: str) -> None:
    place.password.write_text(content, newline="")
    assert place.configuration(GOOD).accounts[0].login.password == password


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is empty"), (b"\n", "is empty"),
        (b"hush\nmore\n", "has more than one line; only the secret belongs there"),
        (b"\xff", "is not text in UTF-8"), (b"h\x00h", "holds a character that no password can have"),
        (b"x" * 5000, "is 5000 bytes long; at most 4096 are taken"),
    ],
)  # fmt: skip
def test_a_password_file_that_cannot_be_meant_is_refused(place: Place, content: bytes, text: str) -> None:
    place.password.write_bytes(content)
    assert place.problems(GOOD) == [f"account.main.password_file: {place.password} {text}"]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o602, 0o700])
def test_a_password_file_that_others_could_read_is_refused(place: Place, mode: int) -> None:
    place.password.chmod(mode)
    assert place.problems(GOOD) == [
        f"account.main.password_file: {place.password} has mode {mode:04o}, but a secret is for one reader only; "
        f"next: chmod 600 {place.password}"
    ]


def test_a_password_file_that_is_missing_or_a_directory_is_refused(place: Place) -> None:
    place.password.unlink()
    assert place.problems(GOOD) == [f"account.main.password_file: {place.password} does not exist"]
    place.password.mkdir(mode=0o700)
    assert place.problems(GOOD) == [f"account.main.password_file: {place.password} is a directory"]


def test_a_file_of_somebody_else_is_refused(place: Place) -> None:
    if os.geteuid() == 0:
        os.chown(place.password, 65534, 65534)
    else:
        place.uid += 1
    assert any(
        f"account.main.password_file: {place.password} belongs to" in problem for problem in place.problems(GOOD)
    )


def test_a_configuration_that_holds_a_secret_must_be_as_private_as_a_password(place: Place) -> None:
    own = GOOD.replace('password_file = "$PASSWORD"', 'password = "hush"')
    proxy = GOOD.replace("rooms =", 'proxy = "http://me:hush@proxy.example.org:3128"\nrooms =')
    for text in (own, proxy):
        assert place.problems(text) == []
        assert place.problems(text, 0o640) == [
            f"{place.path} has mode 0640, but a secret is for one reader only; next: chmod 600 {place.path}"
        ]


def test_a_configuration_without_a_secret_may_be_read_but_never_changed_by_others(place: Place) -> None:
    assert place.problems(GOOD, 0o644) == []
    assert place.problems(GOOD, 0o664) == [
        f"{place.path} has mode 0664, so others can change it; next: chmod go-w {place.path}"
    ]


def test_a_credential_comes_from_the_directory_that_systemd_made(place: Place) -> None:
    text = GOOD.replace('password_file = "$PASSWORD"', 'credential = "xmpp"')
    (problem,) = place.problems(text)
    assert "next: LoadCredential=xmpp:/path/of/file in the unit" in problem
    place.credentials = place.folder / "credentials"
    place.credentials.mkdir()
    assert place.problems(text) == [f"account.main.credential: {place.credentials}/xmpp does not exist"]
    (place.credentials / "xmpp").write_text("from systemd\n")
    (place.credentials / "xmpp").chmod(0o440)  # how one looks that is given by an access list
    assert place.configuration(text).accounts[0].login.password == "from systemd"


def test_no_secret_is_in_a_problem_or_a_repr(place: Place) -> None:
    text = GOOD.replace('password_file = "$PASSWORD"', 'password = "hu\\u0000sh"\nproxy = "ftp://me:hush@x"')
    assert "hush" not in "".join(place.problems(text))
    own = GOOD.replace('password_file = "$PASSWORD"', 'password = "hush"')
    loaded = place.load(own)
    assert "hush" not in repr(loaded) + str(loaded.settings)
    assert loaded.settings is not None
    assert loaded.settings.account["main"].password == Secret("hush")


# The state directory


def test_a_state_directory_that_others_can_change_is_refused(place: Place) -> None:
    place.state.chmod(0o777)
    assert place.problems(GOOD) == [
        f"state: {place.state} has mode 0777, so others can change it; next: chmod go-w {place.state}"
    ]


def test_a_state_directory_that_is_not_there_yet_is_made_by_the_agent(place: Place) -> None:
    place.state.rmdir()
    assert place.problems(GOOD) == []
    assert not place.state.exists()


# Notes: worth a look, in nobody's way


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ('tls = "direct"\nport = 5222', "tls"),
        ("port = 443\nhost = 'x'", "tls"),
        ("port = 5222", "port"),
        ("", "policy"),
    ],
)
def test_what_is_odd_but_possible_is_a_note_and_hinders_nothing(place: Place, line: str, path: str) -> None:
    loaded = place.load(WITH_PASSWORD + line)
    assert loaded.configuration is not None
    assert f"account.main.{path}" in [note.path for note in loaded.notes]
    assert all(note.group is Group.note for note in loaded.notes)


@pytest.mark.parametrize(("written", "noted"), [('"hush"', True), ('{ file = "$PASSWORD" }', False)])
def test_only_a_password_in_the_configuration_itself_is_worth_a_note(place: Place, written: str, noted: bool) -> None:
    loaded = place.load(f'state = "$STATE"\n[account.main]\njid = "site-1@agents.example.org"\npassword = {written}\n')
    assert loaded.configuration is not None
    assert ("account.main.password" in [note.path for note in loaded.notes]) is noted
