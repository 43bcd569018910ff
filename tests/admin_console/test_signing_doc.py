"""What docs/signing.md shows is run as it stands there: commands, files, challenge. Only paths are changed."""

import re
import subprocess
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from admin_console.challenges import answer_challenge
from admin_console.cli.main import cli
from admin_console.settings import Settings
from amon.access.signers import read_signers
from amon.access.sshsig import COMMAND, SigningKey, verify
from amon.config import read
from amon.errors import Problem
from amon.wire import read_challenge
from site_agent.cli import main
from site_agent.settings import AgentSettings
from tests.access.keygen import Keygen
from tests.admin_console.test_sign_command import Person

DOC = Path(__file__).parents[2] / "docs" / "signing.md"
TEXT = DOC.read_text()
ALICE = "alice@example.org"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)


def indented(start: str) -> list[str]:
    """The lines of the example in which this stands, without their indentation."""
    (found,) = (text for text in re.findall(r"(?:^    .*\n)+", TEXT, flags=re.MULTILINE) if start in text)
    return [line.removeprefix("    ") for line in found.splitlines()]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".ssh").mkdir(mode=0o700)
    return tmp_path


def shell(script: str, home: Path) -> str:
    """Run as somebody would type it; passphrases are empty, because nobody is there to type one."""
    script = script.replace("/etc/amon/", f"{home}/").replace(
        "ssh-keygen -t ed25519 ", "ssh-keygen -q -N '' -t ed25519 "
    )
    done = subprocess.run(
        ["setsid", "--wait", "sh", "-euc", script],
        cwd=home, env={**Keygen(home).environment, "HOME": str(home)}, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_key_that_is_made_and_listed_as_shown_is_taken_as_shown(home: Path) -> None:
    make, try_it = (next(one for one in blocks("sh") if word in one) for word in ("ssh-keygen -t", "-Y verify"))
    assert "ED25519" in shell(make, home)
    public = (home / ".ssh" / "amon.pub").read_text()
    assert public.endswith(f" {ALICE}\n")
    (listed,) = blocks("text")
    (home / "signers").write_text(re.sub(r"ssh-ed25519 \S+", " ".join(public.split()[:2]), listed, count=1))
    assert shell(try_it, home).startswith('Good "amon-cmd@v1" signature for alice@example.org with ED25519 key SHA256:')
    signers, problems = read_signers((home / "signers").read_text(), "f")
    assert problems == []
    signed = signers.verify(b"hello\n", (home / "hello.sig").read_text(), COMMAND, ALICE, 0.0)
    assert public.startswith(signed.line)


def test_the_files_that_are_shown_have_no_mistakes() -> None:
    (listed,) = blocks("text")
    signers, problems = read_signers(listed, "f")
    assert (problems, len(signers.lines)) == ([], 2)
    for text in blocks("toml"):
        told: list[Problem] = []
        if "account" in tomllib.loads(text):
            read(text + f'jid = "{ALICE}"\n', AgentSettings, told)
        else:
            read(f'jid = "{ALICE}"\nroom = "ops@rooms.example.org"\n' + text, Settings, told)
        assert told == []


def test_the_site_key_is_made_as_shown(home: Path) -> None:
    (make,) = (one for one in blocks("sh") if "amon-agent key" in one)
    line, owner = make.splitlines()
    assert owner == "chown amon /etc/amon/site.key"
    words = line.replace("/etc/amon/", f"{home}/").split()
    assert main(words[1:]) == 0
    assert SigningKey.load(home / "site.key").public.kind == "ssh-ed25519"


async def test_the_challenge_is_shown_and_answered_as_shown(home: Path) -> None:
    shown = indented("$ amon sign")
    challenge = read_challenge(shown[2])
    assert str(challenge) in "\n".join(indented("you      service stop"))
    assert challenge.by == ALICE
    key = Keygen(home).make("amon")
    person = Person("y")
    now = challenge.expires - 290
    answer = await answer_challenge(shown[2], key, ALICE, person, now, COMMAND, False)
    told = person.text.splitlines()
    assert datetime.fromtimestamp(challenge.expires, UTC).year == 2026
    assert told[:5] == shown[3:8]
    assert told[-1].strip() == "sign it? [y/N]" == shown[9].removesuffix(" y")
    assert answer.startswith("ok U1NIU0lH")
    public = verify(str(challenge).encode(), answer.split()[1], COMMAND)
    assert key.with_name("amon.pub").read_text().startswith(public.line)


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (DOC.parent / target).exists(), target


def test_every_way_to_run_is_known() -> None:
    for line in re.findall(r"`(amon [a-z][^`]*)`|^(amon run .*)$", TEXT, flags=re.MULTILINE):
        words = (line[0] or line[1]).split()
        assert words[1] in cli.commands, words
        known = {name for option in cli.commands[words[1]].params for name in option.opts}
        assert {word for word in words if word.startswith("--")} <= known, words
