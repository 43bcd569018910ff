"""Completion in real shells: what is proposed where, and that nothing of it is ever expanded."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from admin_console.cache import Cache, Known
from admin_console.completion import named
from admin_console.shell.kinds import Kind
from tests.admin_console.programs import AMON

SHELLS = [
    "bash",
    pytest.param("zsh", marks=pytest.mark.clients),
    pytest.param("fish", marks=pytest.mark.clients),
]
STARTS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
SETS_UP = {
    "bash": 'eval "$(amon completion bash)"',
    "zsh": 'autoload -U compinit; compinit -D -u; setopt interactive_comments; eval "$(amon completion zsh)"',
    "fish": "amon completion fish | source",
}


def fleet(folder: Path) -> None:
    """What a console has learnt; one site has names that a shell would obey."""
    cache = Cache(folder / "cache" / "amon" / "fleet.json")
    known: Known = {
        "m1": {"tag": ("tier=1", "vo=atlas"), "module": ("service",)},
        "m2": {"tag": ("x=$(touch pwned)", "y=`touch pwned`")},
    }
    cache.remember("ops", {"cern": "m1", "fnal": "m2", "a;touch pwned": "", "*": ""}, known)
    kind = Kind()
    kind.heard_words("", "service\nuptime\n$(touch pwned)\n;touch pwned\n*")
    kind.heard_words("service ", "restart\nlist")
    kind.heard_words("service restart ", "httpd\n`touch pwned`\n-x;touch pwned")
    kind.heard_page(
        "service restart", "service restart UNIT [--force]\nDo it.\n  unit: it\n  force\nneeds role operator"
    )
    cache.learn("ops", {"m1": kind})


def shim(folder: Path) -> None:
    """An `amon` that completes as the real one, and otherwise writes down what it was called with."""
    program = folder / "bin" / "amon"
    program.parent.mkdir()
    real = " ".join(f"'{word}'" for word in AMON)
    program.write_text(
        f'#!/bin/sh\nif [ -n "$_AMON_COMPLETE" ] || [ "$1" = completion ]; then exec {real} "$@"; fi\n'
        f"printf '%s\\n' \"$@\" > '{folder}/called.new'; mv '{folder}/called.new' '{folder}/called'\n"
    )
    program.chmod(0o755)


def typed(shell: str, keys: str, folder: Path) -> list[str]:
    """What `amon` was called with after these keys and Enter."""
    ours, theirs = pty.openpty()
    environment = {
        **os.environ, **{f"XDG_{one}_HOME": str(folder / one.lower()) for one in ("CACHE", "STATE", "CONFIG", "DATA")},
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "HOME": str(folder), "TERM": "xterm", "PS1": "$ ",
    }  # fmt: skip
    process = subprocess.Popen(
        ["setsid", "--ctty", *STARTS[shell]], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=folder,
    )  # fmt: skip
    os.close(theirs)
    try:
        os.write(ours, f"{SETS_UP[shell]}; echo rea''dy\r".encode())
        seen = wait(ours, lambda text: "ready" in text.split("rea''dy")[-1])
        os.write(ours, f"{keys}\r".encode())
        seen += wait(ours, lambda text: (folder / "called").exists())
        return (folder / "called").read_text().splitlines()
    except AssertionError as never:
        raise AssertionError(f"{never}\n{seen if 'seen' in locals() else ''}") from None
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def wait(terminal: int, until: "object", within: float = 20.0) -> str:
    assert callable(until)
    text, end = "", time.monotonic() + within
    while not until(text):
        assert time.monotonic() < end, f"it never came: {text!r}"
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                text += os.read(terminal, 65536).decode(errors="replace")
            except OSError:
                raise AssertionError(f"the shell ended: {text!r}") from None
    return text


@pytest.fixture
def place(tmp_path: Path) -> Path:
    fleet(tmp_path)
    shim(tmp_path)
    return tmp_path


CASES = [
    ("amon run ce\tup\t", ["run", "cern", "uptime"]),
    ("amon run tag:v\t=at\tuptime", ["run", "tag:vo=atlas", "uptime"]),
    ("amon run tag:vo=\tuptime", ["run", "tag:vo=atlas", "uptime"]),
    ("amon run cern,f\tuptime", ["run", "cern,fnal", "uptime"]),
    ("amon run health:cr\tuptime", ["run", "health:crit", "uptime"]),
    ("amon run fnal ser\tre\tht\t", ["run", "fnal", "service", "restart", "httpd"]),
    ("amon run fnal service restart --fo\t", ["run", "fnal", "service", "restart", "--force"]),
    ("amon run --can\t1 fnal uptime", ["run", "--canary", "1", "fnal", "uptime"]),
    ("amon sites fn\t", ["sites", "fnal"]),
    ("amon shell fn\t", ["shell", "fnal"]),
]


def skipped(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")


@pytest.mark.parametrize(("keys", "called"), CASES)
@pytest.mark.parametrize("shell", SHELLS)
def test_a_word_is_completed_where_one_types(shell: str, keys: str, called: list[str], place: Path) -> None:
    skipped(shell)
    assert typed(shell, keys, place) == called


@pytest.mark.parametrize("shell", SHELLS)
def test_inside_quotes_a_target_is_completed_too(shell: str, place: Path) -> None:
    skipped(shell)
    # A shell that is sure closes the quotes itself.
    called = typed(shell, "amon run 'not fn\t", place)
    assert called == ["run", "not fnal"]


@pytest.mark.parametrize(
    "keys",
    ["amon run \t\t\x15", "amon run fnal \t\t\x15", "amon run fnal service restart \t\t\x15", "amon run tag:\t\t\x15"],
)
@pytest.mark.parametrize("shell", SHELLS)
def test_nothing_that_a_site_is_called_is_obeyed(shell: str, keys: str, place: Path) -> None:
    skipped(shell)
    typed(shell, f"{keys}amon sites", place)
    assert not list(place.rglob("pwned*"))


@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_typed_is_not_obeyed_either(shell: str, place: Path) -> None:
    skipped(shell)
    typed(shell, "amon run '$(touch pwned)`touch pwned`\t\t\x15amon sites", place)
    assert not list(place.rglob("pwned*"))


def test_the_program_itself_is_asked_with_its_words_as_data(tmp_path: Path) -> None:
    fleet(tmp_path)
    done = subprocess.run(
        AMON, capture_output=True, text=True, timeout=30, check=False,
        env={"XDG_CACHE_HOME": str(tmp_path / "cache"), "_AMON_COMPLETE": "bash_complete", "COMP_PIECE": "=",
             "COMP_WORDBREAKS": " :=", "COMP_WORDS": "amon run tag:vo=", "PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert done.stdout.split() == ["plain,atlas"]


def test_sites_that_a_command_may_name_are_proposed_if_a_shell_may_have_them() -> None:
    names = ["cern", "cesnet", "fnal", "a;touch pwned", "*"]
    assert named("ce", names) == ["cern", "cesnet"]
    assert named("", names) == ["all", "cern", "cesnet", "fnal"]
