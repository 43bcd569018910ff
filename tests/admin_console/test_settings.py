"""console.toml: what is taken, and the next step for everything that is wrong with it."""

from pathlib import Path

import pytest

from admin_console.settings import Settings, default_path, example_text, load
from amon.config import read
from amon.errors import Failed, Problem

GOOD = 'jid = "me@example.org"\nroom = "ops@rooms.example.org"\n'


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "console.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_paths_are_relative_to_the_file_and_the_password_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("correct horse\n")
    (tmp_path / "secret").chmod(0o600)
    settings = load(written(tmp_path, GOOD + 'password_file = "secret"\nca_file = "ca.pem"\nport = 5223\n'))
    assert settings.password is not None
    assert settings.password.reveal() == "correct horse"
    assert (settings.ca_file, settings.port) == (tmp_path / "ca.pem", 5223)
    assert "correct horse" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("jid = 3\n", "jid: expected text"),
        (GOOD + 'pasword = "x"\n', r"pasword.*did you mean password"),
        ("jid = \n", "line 1, column"),
        (GOOD, "exactly one of `password` and `password_file`"),
        (GOOD + 'password = "a"\npassword_file = "b"\n', "exactly one of"),
        (GOOD + 'password_file = "none"\n', "password_file: .*none does not exist"),
        ('jid = "me"\nroom = "ops@rooms.example.org"\npassword = "x"\n', "jid: must match"),
        ('room = "ops@rooms.example.org"\npassword = "x"\n', "jid"),
        (GOOD + 'password = "x"\nport = 70000\n', "port: must be at most 65535"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Failed, match=f"(?s){said}"):
        load(written(tmp_path, text))


def test_a_file_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"no configuration: .*console.toml is not there; next: `amon example >"):
        load(tmp_path / "console.toml")


def test_a_secret_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="others can read it; next: chmod 600"):
        load(written(tmp_path, GOOD + 'password = "x"\n', 0o644))
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0o640)
    with pytest.raises(Failed, match="secret has mode 0640, but a secret is for one reader only; next: chmod 600"):
        load(written(tmp_path, GOOD + 'password_file = "secret"\n'))


@pytest.mark.parametrize(
    ("content", "said"), [("", "is empty"), ("\n", "is empty"), ("one\ntwo\n", "has more than one line")]
)
def test_a_password_file_holds_one_line(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "secret").write_text(content)
    (tmp_path / "secret").chmod(0o600)
    with pytest.raises(Failed, match=f"password_file: .*secret {said}"):
        load(written(tmp_path, GOOD + 'password_file = "secret"\n'))


def test_the_example_can_be_read_back() -> None:
    problems: list[Problem] = []
    settings = read(example_text(), Settings, problems)
    assert problems == []
    assert settings is not None
    assert settings.password_file == Path("console.password")


def test_where_it_is_looked_for() -> None:
    assert default_path({"XDG_CONFIG_HOME": "/x", "HOME": "/h"}) == Path("/x/amon/console.toml")
    assert default_path({"HOME": "/h"}) == Path("/h/.config/amon/console.toml")


def test_the_example_suggests_what_somebody_could_mean() -> None:
    text = example_text()
    for line in ('# host = "xmpp.example.org"', "# port = 5222", '# ca_file = "/etc/amon/ca.pem"'):
        assert f"{line}\n" in text
    assert '# proxy = "http://proxy.example.org:3128"\n' in text
