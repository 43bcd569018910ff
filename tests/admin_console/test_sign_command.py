"""`amon sign`: what is shown before a signature, what is never signed, and the line that comes out."""

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from admin_console.challenges import answer_challenge
from admin_console.plain import PlainFace
from amon.access.sshkey import PublicKey
from amon.access.sshsig import COMMAND, verify
from amon.errors import Failed, Invalid
from amon.wire import read_challenge
from tests.access.keygen import Keygen, agent, askpass
from tests.admin_console.programs import AMON, on_terminal

ME = "me@example.org"
NOW = 1_900_000_000
START = "amon1 01KAGS5D8QJ1V3N7ZC0W4XK2TM cern@agents.example.org"
ENCRYPTED = "correct horse"


def line(by: str = ME, issued: float = NOW, life: float = 120, command: str = "service restart httpd") -> str:
    return f"{START} {by} {int(issued)} {int(issued + life)} {command}"


@pytest.fixture
def keygen(tmp_path: Path) -> Keygen:
    return Keygen(tmp_path)


@pytest.fixture
def key(keygen: Keygen) -> Path:
    return keygen.make()


class Person(PlainFace):
    """Somebody at a terminal who gives one answer; None: nobody is there."""

    def __init__(self, answer: str | None) -> None:
        super().__init__()
        self.can_ask, self.answer = answer is not None, answer
        self.told: list[str] = []

    def note(self, text: str) -> None:
        self.told.append(text)

    async def ask(self, question: str) -> str:
        self.told.append(question)
        return self.answer or ""

    @property
    def text(self) -> str:
        return "\n".join(self.told)


def signed(answer: str, text: str, key: Path) -> bool:
    """Whether this is `ok` and a signature of `key` over exactly this text."""
    word, sig = answer.split(" ")
    expected = PublicKey.from_line(key.with_name(f"{key.name}.pub").read_text())
    return word == "ok" and verify(text.encode(), sig, COMMAND) == expected


async def answered(person: Person, text: str, key: Path, *, jid: str | None = ME, yes: bool = False) -> str:
    return await answer_challenge(text, key, jid, person, NOW + 30, COMMAND, yes)


async def test_what_would_be_done_is_shown_and_signed_after_a_yes(key: Path) -> None:
    person = Person("y\n")
    assert signed(await answered(person, line() + "\n", key), line(), key)
    expected = PublicKey.from_line(key.with_name("key.pub").read_text()).fingerprint
    assert person.text == (
        "your signature would let this be done:\n"
        "  site        cern@agents.example.org\n"
        "  command     service restart httpd\n"
        "  asked by    me@example.org\n"
        "  good until  2030-03-17 17:48:40 UTC (1 min left)\n"
        f"  key         {key} ({expected})\n"
        "sign it? [y/N] "
    )


@pytest.mark.parametrize("answer", ["", "n", "no", "x", "yy", "\n"])
async def test_anything_but_a_yes_is_a_no(key: Path, answer: str) -> None:
    with pytest.raises(Failed, match=r"^not signed$"):
        await answered(Person(answer), line(), key)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "restart httpd", '{"v":1,"body":"x"}', "amon1", START, f"{START} {ME} 1 2", "amon2" + line()[5:],
        "x" + line(), line().replace(" ", "  ", 1), line(command="a\nb"), line(command="a\u202eb"), line(command="a\0"),
        line(by="a b"), line().upper(), line(command="x" * 20_000), f"{START} {ME} x y status", line() + "\n" + line(),
    ],
)  # fmt: skip
async def test_nothing_but_a_challenge_is_ever_signed(key: Path, text: str) -> None:
    person = Person("y")
    with pytest.raises(Invalid, match="this is no challenge of a site"):
        await answered(person, text, key, yes=True)
    assert person.told == []


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (line(by="boss@example.org"), "it is for boss@example.org, and you are me@example.org"),
        (line(issued=NOW - 1000), "its time is over"),
        (line(issued=NOW + 1000), "it was made in the future"),
        (line(life=301), "no site asks for a signature that is good for longer than 5 min"),
        (line(life=10**9), "no site asks for a signature that is good for longer than 5 min"),
        (line(life=-1), "no site asks for a signature that is good for longer than 5 min"),
    ],
)
async def test_what_is_odd_is_warned_of_and_a_yes_in_advance_does_not_count_for_it(
    key: Path, text: str, warning: str
) -> None:
    alone = Person(None)
    with pytest.raises(Failed, match="not signed, because of the warning above"):
        await answered(alone, text, key, yes=True)
    assert f"warning: {warning}" in alone.text
    doubtful = Person("n")
    with pytest.raises(Failed, match=r"^not signed$"):
        await answered(doubtful, text, key, yes=True)
    assert "sign it anyway? [y/N]" in doubtful.text
    assert signed(await answered(Person("yes"), text, key), text, key)


async def test_a_yes_in_advance_needs_nobody(key: Path) -> None:
    assert signed(await answered(Person(None), line(), key, yes=True), line(), key)
    with pytest.raises(Failed, match="no terminal to ask you at; next: --yes"):
        await answered(Person(None), line(), key)


async def test_capitals_in_ones_own_address_are_no_other_person(key: Path) -> None:
    person = Person(None)
    await answered(person, line(), key, jid="Me@Example.org", yes=True)
    assert "warning" not in person.text


async def test_without_a_configuration_nobody_is_compared(key: Path) -> None:
    person = Person(None)
    await answered(person, line(by="boss@example.org"), key, jid=None, yes=True)
    assert "warning" not in person.text


# The command itself


def amon(folder: Path, *words: str, sent: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
    """`amon sign` without any terminal."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("SSH_")}
    whole: Mapping[str, str] = {**own, "XDG_CONFIG_HOME": str(folder), "HOME": str(folder), **environment}
    argv = ["setsid", "--wait", *AMON, "sign", *words]
    return subprocess.run(argv, input=sent, env=whole, capture_output=True, text=True, timeout=30)


def configured(folder: Path, more: str = "") -> None:
    (folder / "amon").mkdir()
    config = folder / "amon" / "console.toml"
    config.write_text(f'jid = "{ME}"\nroom = "ops@rooms.example.org"\npassword = "x"\n{more}')
    config.chmod(0o600)


def fresh(by: str = ME, command: str = "service restart httpd") -> str:
    return line(by, issued=time.time(), command=command)


def test_the_line_to_paste_is_all_that_is_printed(tmp_path: Path, key: Path) -> None:
    text = fresh()
    done = amon(tmp_path, "--yes", "--key", str(key), text)
    assert done.returncode == 0
    assert signed(done.stdout.removesuffix("\n"), text, key)
    assert "service restart httpd" in done.stderr


def test_the_line_is_read_from_standard_input_where_a_quote_means_nothing(tmp_path: Path, key: Path) -> None:
    text = fresh(command='note "it\'s $(done)" `now`')
    done = amon(tmp_path, "--yes", "--key", str(key), sent=text + "\n")
    assert signed(done.stdout.removesuffix("\n"), text, key)


def test_a_line_that_the_shell_cut_into_words_is_not_put_together_again(tmp_path: Path, key: Path) -> None:
    done = amon(tmp_path, "--yes", "--key", str(key), *fresh().split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("amon: a shell has cut the line into words; next: `amon sign` alone")


def test_the_key_and_the_address_are_those_of_the_configuration(tmp_path: Path, key: Path) -> None:
    configured(tmp_path, 'key = "../key"\n')
    text = fresh()
    assert signed(amon(tmp_path, "--yes", text).stdout.removesuffix("\n"), text, key)
    done = amon(tmp_path, "--yes", fresh(by="boss@example.org"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "warning: it is for boss@example.org, and you are me@example.org" in done.stderr


def test_without_any_key_the_line_to_write_is_said(tmp_path: Path) -> None:
    configured(tmp_path)
    done = amon(tmp_path, "--yes", fresh())
    assert (done.returncode, done.stdout) == (1, "")
    assert 'no key to sign with is set; next: put key = "~/.ssh/id_ed25519" into' in done.stderr


def test_a_key_that_the_agent_holds(tmp_path: Path, keygen: Keygen, key: Path) -> None:
    other, text = keygen.make("other"), fresh()
    with agent(tmp_path, key) as socket:
        (tmp_path / "hidden").mkdir()
        for name in (key, other):
            name.rename(tmp_path / "hidden" / name.name)
        done = amon(tmp_path, "--yes", "--key", f"{key}.pub", text, SSH_AUTH_SOCK=socket)
        assert signed(done.stdout.removesuffix("\n"), text, key)
        done = amon(tmp_path, "--yes", "--key", f"{other}.pub", text, SSH_AUTH_SOCK=socket)
        assert (done.returncode, done.stdout) == (1, "")
        assert "the ssh-agent does not hold the private half" in done.stderr
    done = amon(tmp_path, "--yes", "--key", f"{key}.pub", text)
    assert "no ssh-agent runs here; next: start one" in done.stderr


def test_a_passphrase_without_a_terminal_says_what_to_do(tmp_path: Path, keygen: Keygen) -> None:
    key = keygen.make("locked", passphrase=ENCRYPTED)
    done = amon(tmp_path, "--yes", "--key", str(key), fresh())
    assert (done.returncode, done.stdout) == (1, "")
    assert "has a passphrase and here is no terminal to type it at; next: ssh-add" in done.stderr


def test_a_program_of_the_desktop_may_ask_for_the_passphrase(tmp_path: Path, keygen: Keygen) -> None:
    key, text = keygen.make("locked", passphrase=ENCRYPTED), fresh()
    done = amon(tmp_path, "--yes", "--key", str(key), text, **askpass(tmp_path, ENCRYPTED))
    assert signed(done.stdout.removesuffix("\n"), text, key)
    done = amon(tmp_path, "--yes", "--key", str(key), text, **askpass(tmp_path, "wrong"))
    assert "the passphrase of" in done.stderr
    assert "is wrong" in done.stderr


async def test_on_a_terminal_the_line_the_yes_and_the_passphrase_are_typed_and_the_last_is_not_shown(
    tmp_path: Path, keygen: Keygen
) -> None:
    key, text = keygen.make("locked", passphrase=ENCRYPTED), fresh()
    async with on_terminal("sign", "--key", str(key), folder=tmp_path, SSH_AUTH_SOCK="", DISPLAY="") as program:
        await program.wait_for("paste the line that begins with amon1")
        program.type(text.encode() + b"\n")
        await program.wait_for("sign it? [y/N]")
        program.type(b"y\n")
        await program.wait_for("Enter passphrase")
        program.type(ENCRYPTED.encode() + b"\n")
        assert await program.ended() == 0
        await program.wait_for("ok U1NIU0lH")
        assert ENCRYPTED not in program.text
        (answer,) = (row for row in program.text.splitlines() if row.startswith("ok "))
    assert signed(answer, text, key)


async def test_a_wrong_passphrase_on_a_terminal_is_told(tmp_path: Path, keygen: Keygen) -> None:
    key = keygen.make("locked", passphrase=ENCRYPTED)
    words = ("sign", "--yes", "--key", str(key), fresh())
    async with on_terminal(*words, folder=tmp_path, SSH_AUTH_SOCK="", DISPLAY="") as program:
        await program.wait_for("Enter passphrase")
        program.type(b"wrong\n")
        assert await program.ended() == 1
        await program.wait_for("is wrong; next: try again")


def test_the_challenge_of_these_tests_is_one() -> None:
    assert str(read_challenge(line())) == line()
