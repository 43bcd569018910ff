"""The site's own key: what is taken for one, how it is made and shown, and that a new one is a new login."""

import subprocess
from pathlib import Path

import pytest

from amon.access.sshsig import RESULT, SigningKey, verify
from site_agent.reload import difference
from tests.site_agent.test_cli import PROGRAM, ROOT
from tests.site_agent.world import GOOD, Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def with_key(file: str) -> str:
    return GOOD.replace("rooms =", f'key = "{file}"\nrooms =')


def program(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*PROGRAM, *words], cwd=ROOT, capture_output=True, text=True, timeout=30)


def test_an_account_signs_with_the_key_of_its_file(place: Place) -> None:
    made = SigningKey.generate(place.folder / "site.key", "amon site")
    (plan,) = place.configuration(with_key("$HERE/site.key")).accounts
    assert plan.signing == made
    assert verify(b"done", plan.signing.sign(b"done", RESULT), RESULT) == made.public


def test_an_account_without_a_key_signs_nothing(place: Place) -> None:
    (plan,) = place.configuration(GOOD).accounts
    assert plan.signing is None


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("$HERE/none", "does not exist; next: amon-agent key --make $HERE/none"),
        ("site.key", "site.key is relative; write the whole path"),
        ("$HERE", "$HERE is a directory"),
        ("$HERE/junk", "$HERE/junk is not an OpenSSH private key; next: make a new one"),
    ],
)
def test_what_is_no_key_is_told_with_the_next_step(place: Place, file: str, said: str) -> None:
    (place.folder / "junk").write_text("junk\n")
    (place.folder / "junk").chmod(0o600)
    (problem,) = place.problems(with_key(file))
    assert problem.startswith("account.main.key: ")
    assert said.replace("$HERE", str(place.folder)) in problem


@pytest.mark.parametrize("mode", [0o640, 0o644, 0o660, 0o602, 0o700])
def test_a_key_that_others_can_read_is_no_key(place: Place, mode: int) -> None:
    path = place.folder / "site.key"
    SigningKey.generate(path, "amon site")
    path.chmod(mode)
    (problem,) = place.problems(with_key("$HERE/site.key"))
    assert problem == (
        f"account.main.key: {path} has mode {mode:04o}, but a secret is for one reader only; next: chmod 600 {path}"
    )


def test_a_new_key_is_a_new_login(place: Place) -> None:
    path = place.folder / "site.key"
    SigningKey.generate(path, "amon site")
    without, old = place.configuration(GOOD), place.configuration(with_key("$HERE/site.key"))
    same = place.configuration(with_key("$HERE/site.key"))
    path.unlink()
    SigningKey.generate(path, "amon site")
    new = place.configuration(with_key("$HERE/site.key"))
    assert not difference(old, same)
    assert difference(old, new).start_accounts == ("main",)
    assert difference(without, old).start_accounts == ("main",)
    assert difference(old, without).stop_accounts == ("main",)


def test_the_secret_half_is_in_no_picture_of_a_plan(place: Place) -> None:
    key = SigningKey.generate(place.folder / "site.key", "amon site")
    configuration = place.configuration(with_key("$HERE/site.key"))
    assert key.public.blob.hex() not in repr(configuration)
    assert str(key._seed) not in repr(configuration)
    assert "PRIVATE" not in repr(configuration)


def test_key_make_makes_one_and_key_shows_the_same_public_half(tmp_path: Path) -> None:
    path = tmp_path / "site.key"
    made = program("key", "--make", str(path))
    assert made.returncode == 0
    public = SigningKey.load(path).public
    assert made.stdout == f"{public.line}\n{public.fingerprint}\n"
    assert f'key = "{path}"' in made.stderr
    assert path.stat().st_mode & 0o777 == 0o600
    shown = program("key", str(path))
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, made.stdout, "")


def test_key_never_writes_over_a_key_and_says_what_is_wrong_with_one(tmp_path: Path) -> None:
    path = tmp_path / "site.key"
    program("key", "--make", str(path))
    before = path.read_text()
    again = program("key", "--make", str(path))
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == f"amon-agent key: {path} is there already; next: move it away, or use it as it is\n"
    assert path.read_text() == before
    path.chmod(0o644)
    assert f"can be used by others; next: chmod 600 {path}" in program("key", str(path)).stderr
    assert "No such file" in program("key", str(tmp_path / "none")).stderr
