"""What is said at the two command lines, by programs of their own: words, exit codes, and what a terminal is asked."""

import asyncio
import json
import os
import pwd
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from amon.access.sshsig import SigningKey
from amon.errors import Failed
from site_agent.configuration import World, load
from site_agent.enroll import enroll as enroll_site
from site_agent.place import Place
from tests.admin_console.programs import AMON, on_terminal
from tests.provision.office import Office

AGENT = str(Path(sys.executable).with_name("amon-agent"))


async def said(*argv: str, stdin: str = "", folder: Path | None = None) -> tuple[int | None, str, str]:
    """Exit code and both streams."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "XDG_CACHE_HOME": str(folder), "XDG_DATA_HOME": str(folder)} if folder else None,
    )  # fmt: skip
    async with asyncio.timeout(40):
        out, err = await process.communicate(stdin.encode())
    return process.returncode, out.decode(), err.decode()


async def amon(office: Office, *words: str) -> tuple[int | None, str, str]:
    return await said(*AMON, "--config", str(office.config()), *words, folder=office.folder)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("enroll",), "say either SITE..., or --list, or --prune"),
        (("enroll", "--list", "cern"), "say either SITE..., or --list, or --prune"),
        (("enroll", "cern", "gsi"), "add --out DIR or --json"),
        (("enroll", "--expires", "10 s", "cern"), "must be from a minute to a year"),
        (("enroll", "--tag", "tier", "cern"), "'tier' is no tag; it looks like tier=1"),
        (("enroll", "all"), "'all' cannot be the name of a site"),
        (("admin", "add", "bob@amon.test", "--role", "king"), "'king' is not one of"),
    ],
)
async def test_what_cannot_be_meant_is_wrong_usage(office: Office, words: tuple[str, ...], why: str) -> None:
    code, out, err = await amon(office, *words)
    assert (code, out) == (2, "")
    assert why in err


async def test_the_token_alone_goes_to_standard_output_so_that_a_pipe_can_carry_it(office: Office) -> None:
    code, out, err = await amon(office, "enroll", "cern", "--tag", "tier=1")
    assert (code, out.count("\n"), out[:6]) == (0, 1, "amon1.")
    assert "cern: the token is above, good once, until " in err
    assert out.strip() not in err
    place = office.place("cern")
    argv = (AGENT, "enroll", "-", "--config", str(place.config), "--state", str(place.state), "--user", "root")
    code, told, err = await said(*argv, stdin=out)
    assert (code, err) == (0, ""), "nothing but what matters is said"
    assert SigningKey.load(place.key).public.fingerprint in told
    assert 'tier = "1"' in place.config.read_text()
    code, _, err = await said(
        *argv[:2], out.strip(), *argv[3:5], "--state", str(office.folder / "thief"), "--user", "root"
    )
    assert code == 1
    assert f"amon-agent enroll: {place.config} is there already; next: --force" in err


async def test_a_token_is_taken_from_a_file_and_refused_in_words(office: Office) -> None:
    code, out, _ = await amon(office, "enroll", "cern", "--out", str(office.folder / "tokens"))
    file = office.folder / "tokens" / "cern.token"
    assert (code, out) == (0, "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    place = office.place("cern")
    argv = ("--config", str(place.config), "--state", str(place.state), "--user", "root")
    code, out, _ = await said(AGENT, "enroll", str(file), *argv, "--json")
    key = SigningKey.load(place.key).public.fingerprint
    assert (code, json.loads(out)["key"], json.loads(out)["again"]) == (0, key, False)
    code, _, err = await said(AGENT, "enroll", "amon1.broken!", *argv)
    assert (code, err) == (
        2,
        "amon-agent enroll: this token is not whole; next: copy it from its beginning to its end\n",
    )
    code, _, err = await said(AGENT, "enroll", "/nowhere/token", *argv)
    assert (code, err) == (1, "amon-agent enroll: /nowhere/token does not exist\n")


async def test_one_that_fails_keeps_no_other_from_being_enrolled_and_the_exit_code_tells(office: Office) -> None:
    await amon(office, "enroll", "cern")
    code, out, _ = await amon(office, "enroll", "cern", "gsi", "--json")
    assert code == 1
    first, second = json.loads(out)["sites"]
    assert (first["site"], first["ok"]) == ("cern", False)
    assert (second["site"], second["ok"], second["token"][:6]) == ("gsi", True, "amon1.")
    code, out, _ = await amon(office, "enroll", "--list", "--json")
    assert {one["site"]: one["how"] for one in json.loads(out)["waiting"]} == {
        "cern": "token not used yet",
        "gsi": "token not used yet",
    }


async def test_a_person_at_a_terminal_sees_the_key_and_says_yes(office: Office) -> None:
    made = await office.make_site("cern")
    await office.start("cern")
    words = ("--config", str(office.config()), "approve", "cern")
    async with on_terminal(*words, folder=office.folder) as program:
        await program.wait_for("[yes/no]")
        assert made.fingerprint in program.text
        assert "cern@agents.amon.test" in program.text
        program.type(b"y\n")
        assert await program.ended() == 1
        await program.wait_for("; nothing was changed")
    assert await office.members() == set()
    code, _, err = await amon(office, "approve", "cern")
    assert code == 1
    assert "nobody is here to compare; next: amon approve cern --fingerprint SHA256:..." in err
    async with on_terminal(*words, folder=office.folder) as program:
        await program.wait_for("[yes/no]")
        program.type(b"yes\n")
        assert await program.ended() == 0
    assert await office.members() == {"cern@agents.amon.test"}


async def test_approval_and_revocation_by_programs(office: Office) -> None:
    made = await office.make_site("cern")
    await office.run("cern")  # it is being started
    code, out, _ = await amon(office, "approve", "cern", "--fingerprint", made.fingerprint, "--json")
    assert (code, json.loads(out)["ok"]) == (0, True)
    code, out, _ = await amon(office, "revoke", "cern", "--json")
    document = json.loads(out)
    assert (code, document["about"], document["ok"]) == (0, "revoke cern", True)
    assert [step["step"] for step in document["steps"]] == ["account", "room", "contact", "key"]
    code, _, err = await amon(office, "revoke", "nobody")
    assert (code, err.startswith("amon: neither the fleet book nor")) == (1, True)


async def test_a_step_that_failed_is_seen_in_the_exit_code(office: Office) -> None:
    await office.make_site("cern")
    await office.server.add_account("bob@amon.test", "correct horse battery")
    config = str(office.config("bob@amon.test"))
    code, _, err = await said(*AMON, "--config", config, "revoke", "cern", folder=office.folder)
    assert code == 1
    assert "FAILED account: bob@amon.test is no admin of agents.amon.test" in err
    assert re.search(r"[12] of 4 steps failed; what to do stands above", err)


async def test_a_new_admins_password_is_shown_once_and_in_json(office: Office) -> None:
    code, out, err = await amon(office, "admin", "add", "bob@amon.test", "--new-account", "--json")
    document = json.loads(out)
    assert (code, document["ok"]) == (0, True)
    assert document["password"] not in err + json.dumps(document["steps"])
    code, out, _ = await amon(office, "admin", "remove", "bob@amon.test", "--json")
    assert (code, json.loads(out)["ok"]) == (0, True)


# --- as root, for an agent that runs as somebody else


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that another user can reach: pytest's own cannot be."""
    folder = Path(tempfile.mkdtemp(prefix="amon-enroll-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to somebody else")


@needs_root
async def test_root_makes_a_site_that_its_agent_can_read_and_cannot_give_another_policy(
    office: Office, open_folder: Path
) -> None:
    place = Place(open_folder / "etc" / "agent.toml", open_folder / "state", "nobody")
    await enroll_site(await office.invite("cern"), place)
    nobody = pwd.getpwnam("nobody")
    for path in (place.state, place.passwords.path, place.passwords.recovery, place.key, place.ca):
        assert path.stat().st_uid == nobody.pw_uid, path
    config = place.config.stat()
    assert (config.st_uid, config.st_gid, stat.S_IMODE(config.st_mode)) == (0, nobody.pw_gid, 0o640)
    assert os.geteuid() == 0
    loaded = load(place.config, World(World.here().registry, nobody.pw_uid))
    assert loaded.problems == []


@needs_root
async def test_root_follows_no_link_that_the_agents_user_has_put_into_its_directory(
    office: Office, open_folder: Path
) -> None:
    precious = open_folder / "precious"
    precious.write_text("root's own\n")
    precious.chmod(0o600)
    nobody = pwd.getpwnam("nobody")
    place = Place(open_folder / "agent.toml", open_folder / "state", "nobody")
    place.state.mkdir(mode=0o700)
    for path in (place.passwords.path, place.passwords.next, place.ca, place.passwords.recovery):
        path.symlink_to(precious)
    os.chown(place.state, nobody.pw_uid, nobody.pw_gid)
    with pytest.raises((Failed, PermissionError)):
        await enroll_site(await office.invite("cern"), place)
    assert precious.read_text() == "root's own\n"
    assert precious.stat().st_uid == 0


async def test_a_user_that_is_not_there_is_told_with_the_command_that_makes_it(office: Office) -> None:
    place = Place(office.folder / "agent.toml", office.folder / "state", "no-such-user")
    if os.geteuid() == 0:
        with pytest.raises(Failed, match=r"there is no user no-such-user; next: useradd --system"):
            await enroll_site(await office.invite("cern"), place)
        assert not place.state.exists()
