"""The command line where no server is needed: what is said, and with which exit code."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from admin_console.cli.main import cli
from admin_console.program import Amon, called

AMON = [sys.executable, "-P", "-c", "import sys; from admin_console.entry import main; main()"]


def amon(*words: str, config: Path | None = None) -> Result:
    options = ["--config", str(config or "/nowhere/console.toml")]
    return CliRunner().invoke(cli, [*options, *words], prog_name="amon")


HEAVY = """
import sys
from admin_console.entry import main
try:
    main()
except SystemExit:
    print([name for name in ("slixmpp", "rich", "msgspec", "psutil", "prompt_toolkit") if name in sys.modules])
"""


def test_help_names_every_command_and_imports_little() -> None:
    argv = [sys.executable, "-P", "-c", HEAVY, "--help"]
    seen = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30)
    for command in ("sites", "run", "shell", "sign", "room", "server", "demo", "completion", "example"):
        assert f"\n  {command}" in seen.stdout
    assert seen.stdout.splitlines()[-1] == "[]"


def test_where_only_an_agent_was_installed_the_next_step_is_said() -> None:
    code = "import sys; sys.modules['click'] = None; from admin_console.entry import main; main()"
    seen = subprocess.run([sys.executable, "-P", "-c", code, "sites"], capture_output=True, text=True, timeout=30)
    assert (seen.returncode, seen.stdout) == (1, "")
    assert seen.stderr == "amon: the console needs click; next: pip install 'amon[console]'\n"


def test_without_a_configuration_the_next_step_is_said() -> None:
    result = amon("sites")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("amon: the console has no configuration: /nowhere/console.toml is not there; next:")


@pytest.mark.parametrize(
    ("target", "carets"),
    [("cern and", "     ^^^"), ("(cern", "^"), ("helth:crit", "^^^^^"), ("", ""), ("  ", "^")],
)
def test_a_target_that_cannot_be_read_is_pointed_at(target: str, carets: str) -> None:
    result = amon("run", target, "status")
    assert result.exit_code == 2
    assert result.stderr.startswith("amon: ")
    assert carets in result.stderr


def test_an_empty_target_is_an_error_and_not_everybody() -> None:
    for command in (("run", "", "status"), ("sites", "")):
        result = amon(*command)
        assert result.exit_code == 2
        assert "no target given; say `all` to mean every site" in result.stderr


def test_a_megabyte_is_a_clear_error() -> None:
    result = amon("run", "all", "echo", "x" * 1_000_000)
    assert result.exit_code == 2
    assert "1000006 characters long" in result.stderr
    assert len(result.stderr) < 300


@pytest.mark.parametrize(
    "words", [("run",), ("run", "all"), ("rnu",), ("run", "--timeout", "30 parsecs", "all", "status")]
)
def test_wrong_usage_is_two(words: tuple[str, ...]) -> None:
    assert amon(*words).exit_code == 2


def test_a_time_with_a_wrong_unit_says_what_is_meant() -> None:
    assert "a duration such as '30 s'" in amon("run", "--timeout", "soon", "all", "status").stderr
    assert "at most a day" in amon("run", "--timeout", "2 d", "all", "status").stderr


def test_a_bug_is_one_line_and_a_traceback_only_with_debug() -> None:
    group = Amon("amon", params=list(cli.params), callback=lambda **_: None)

    @group.command()
    def broken() -> None:
        raise KeyError("x\x1b[31m")

    result = CliRunner().invoke(group, ["broken"])
    assert (result.exit_code, "Traceback" in result.stderr, "\x1b" in result.stderr) == (1, False, False)
    assert "amon: bug: KeyError: " in result.stderr
    assert "run again with `amon --debug" in result.stderr
    assert "Traceback" in CliRunner().invoke(group, ["--debug", "broken"]).stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: str) -> None:
    result = amon("completion", shell)
    assert result.exit_code == 0
    assert "_AMON_COMPLETE" in result.stdout


def test_completion_offers_sites_without_a_server(tmp_path: Path) -> None:
    (tmp_path / "amon").mkdir()
    (tmp_path / "amon" / "fleet.json").write_text('{"ops": {"names": ["cern", "cesnet", "fnal"], "known": {}}}')
    environment = {"XDG_CACHE_HOME": str(tmp_path), "_AMON_COMPLETE": "bash_complete", "COMP_WORDS": "amon run ce",
                   "COMP_CWORD": "2"}  # fmt: skip
    done = subprocess.run(AMON, env={**environment}, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.split() == ["plain,cern", "plain,cesnet"]
    for said, at in (("revoke ce", "2"), ("policy show ce", "3"), ("policy push ce", "3")):
        environment |= {"COMP_WORDS": f"amon {said}", "COMP_CWORD": at}
        done = subprocess.run(AMON, env={**environment}, capture_output=True, text=True, timeout=30, check=False)
        assert done.stdout.split() == ["plain,cern", "plain,cesnet"], said


def test_the_example_is_printed() -> None:
    assert 'jid = "me@example.org"' in amon("example").stdout


def test_a_full_disk_behind_standard_output_is_no_bug_of_ours() -> None:
    words = ["sh", "-c", '"$@" example >/dev/full', "sh", *AMON]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    said = "amon: the disk of standard output is full; what was asked for may be done all the same\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_a_pipe_that_closes_is_quiet() -> None:
    done = subprocess.run(
        ["sh", "-c", '"$@" example | head -n 0', "sh", *AMON], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stderr == ""


def test_it_names_itself_as_another_terminal_has_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "a folder" / "amon"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["a folder/amon", "demo"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert called() == f"'{program}'"
    monkeypatch.setenv("PATH", str(program.parent))
    assert called() == "amon"
    monkeypatch.setattr(sys, "argv", ["-c", "demo"])
    assert called() == "amon"
