"""What a hub needs to be set up: its settings, its unit, its memory, and what the document says of them."""

import configparser
import logging
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from admin_console.cli.main import cli
from admin_console.hub.memory import Memory
from admin_console.hub.settings import HubSettings, example_text, load
from admin_console.hub.talk import Talk
from amon.config import read
from amon.errors import Failed, Problem
from amon.testing import FakeClock

DOC = (Path(__file__).parents[2] / "docs" / "hub.md").read_text()


def written(folder: Path, text: str) -> Path:
    path = folder / "hub.toml"
    path.write_text('jid = "hub@example.org"\nroom = "ops@rooms.example.org"\npassword = "x"\n' + text)
    path.chmod(0o600)
    return path


def test_its_settings_are_those_of_a_console_and_a_few_more(tmp_path: Path) -> None:
    settings = load(written(tmp_path, 'state = "here"\nprefix = "?"\nca_file = "ca.pem"\n'))
    assert (settings.state, settings.prefix, settings.ca_file) == (tmp_path / "here", "?", tmp_path / "ca.pem")
    assert settings.log == "info"


def test_without_a_directory_its_state_is_where_states_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "states"))
    assert load(written(tmp_path, "")).state == tmp_path / "states" / "amon" / "ops@rooms.example.org" / "hub"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('prefix = "ab"\n', "prefix: must match"),
        ('log = "loud"\n', "log"),
        ("gatherer = 1\n", "gatherer"),
    ],
)
def test_what_is_wrong_in_them_is_said_with_the_next_step(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Failed, match=f"(?s){said}.*`amon hub example` prints one"):
        load(written(tmp_path, text))


def test_the_example_is_read_again() -> None:
    problems: list[Problem] = []
    text = example_text()
    assert read(text, HubSettings, problems) is not None
    assert not problems
    assert CliRunner().invoke(cli, ["hub", "example"]).output == text


def test_a_hub_without_a_configuration_ends_with_78_so_that_nobody_starts_it_again(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["hub", "--config", str(tmp_path / "none.toml")])
    assert result.exit_code == 78
    assert "the hub has no configuration" in result.stderr
    assert "`amon hub example >" in result.stderr


def test_the_unit_starts_what_is_there_and_keeps_what_the_settings_name() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(CliRunner().invoke(cli, ["hub", "unit"]).output)
    service = unit["Service"]
    assert service["ExecStart"].endswith("/amon hub --config /etc/amon/hub.toml")
    assert (service["Type"], service["RestartPreventExitStatus"]) == ("notify", "78")
    assert (service["StateDirectory"], service["User"]) == ("amon-hub", "amon-hub")


# What outlives a restart


def test_what_is_kept_is_there_again_and_two_hubs_cannot_have_it(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "state")
    with memory.alone():
        memory.keep({"leases": [1]})
        with pytest.raises(Failed, match="another hub uses"), Memory(tmp_path / "state").alone():
            pass
    with Memory(tmp_path / "state").alone():
        assert Memory(tmp_path / "state").recall() == {"leases": [1]}
    assert (tmp_path / "state" / "hub.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, "\x00"])
def test_a_memory_that_cannot_be_read_is_an_empty_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "hub.json").write_text(text)
    assert Memory(tmp_path).recall() == {}


def test_a_disk_that_takes_nothing_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    memory = Memory(tmp_path / "not there")
    with caplog.at_level(logging.ERROR):
        for number in range(3):
            memory.keep({"n": number})
    assert len(caplog.records) == 1


def test_a_directory_that_cannot_be_made_is_a_failure_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failed, match="next: set `state`"), Memory(tmp_path / "file" / "state").alone():
        pass


# What the document says


def test_the_commands_of_the_document_are_there() -> None:
    for command in re.findall(r"^amon ([a-z]+)(?: ([a-z]+))?", DOC, re.MULTILINE):
        path = [word for word in command if word]
        group = cli.commands[path[0]]
        assert len(path) == 1 or path[1] in getattr(group, "commands", {path[1]: None}), path


def test_every_word_that_it_takes_one_to_one_is_in_the_document() -> None:
    help_text = Talk("h", "r", "!", FakeClock(), list, {}, list).answer("a", "help")
    said = {line.split()[0] for line in help_text.split("\n")[1:-1]}
    assert said == {"status", "sites", "jobs", "details", "slots", "more"}
    assert all(f"| `{word}" in DOC for word in said)
