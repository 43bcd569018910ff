"""What never stands in our code, and what cannot be reached from outside: looked for in the code itself."""

import ast
import logging
import ssl
import sys
from functools import cache
from pathlib import Path

import pytest

from amon.command import Call, command, commands_of
from amon.module import Registry
from amon.xmpp.events import Received
from amon.xmpp.login import Limits, Login
from amon.xmpp.stream import Stream

ROOT = Path(__file__).parents[2]
PACKAGES = ("admin_console", "amon", "modules", "site_agent")
EVALUATES = {"eval", "exec", "compile", "__import__"}
OBJECTS = {"pickle", "marshal", "shelve", "dill", "yaml", "jinja2", "mako", "xmlrpc"}
SHELLS = {"popen", "create_subprocess_shell", "getoutput", "getstatusoutput", "spawnl", "spawnlp"}


@cache
def nodes() -> list[tuple[str, ast.AST]]:
    """Every call and every import of our code, with the file it stands in."""
    return [
        (str(file.relative_to(ROOT)), node)
        for package in PACKAGES
        for file in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call | ast.Import | ast.ImportFrom)
    ]


def called(node: ast.AST) -> str:
    """The last name of what is called; empty for what is no call."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def test_no_program_goes_through_a_shell() -> None:
    found = [file for file, node in nodes() if called(node) in SHELLS or _is_system(node)]
    shells = [
        file
        for file, node in nodes()
        if isinstance(node, ast.Call) and any(word.arg == "shell" for word in node.keywords)
    ]
    assert found + shells == []


def _is_system(node: ast.AST) -> bool:
    return called(node) == "system" and ast.unparse(node).startswith("os.")


def test_nothing_is_evaluated_unpickled_or_made_from_a_template() -> None:
    evaluated = [
        file
        for file, node in nodes()
        if called(node) in EVALUATES and isinstance(getattr(node, "func", None), ast.Name)
    ]
    assert evaluated == []
    imported = [
        (file, name)
        for file, node in nodes()
        for name in _imported(node)
        if name.partition(".")[0] in OBJECTS or name == "string.Template"
    ]
    assert imported == []


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


OF_DECLARATIONS = (
    "getattr(self.find(instance), method)",  # candidates for completion: node.py
    "getattr(value, field.name)",  # how long a result is: caps.py
)


def test_between_a_request_and_its_method_nothing_is_looked_up_by_name() -> None:
    found = [
        (file, node.lineno)
        for file, node in nodes()
        if isinstance(node, ast.Call)
        and called(node) in ("getattr", "setattr", "import_module", "globals", "attrgetter", "methodcaller")
        and file.startswith(("amon/runtime", "amon/wire", "amon/command/grammar", "amon/command/line", "amon/xmpp/in"))
        and ast.unparse(node) not in OF_DECLARATIONS
    ]
    assert found == []


def test_what_is_not_declared_is_no_command() -> None:
    class Offers:
        async def reboot(self, call: Call) -> None:
            """Not declared: nobody can ask for it."""

        @command()
        async def look(self, call: Call) -> None:
            """Look."""

    assert set(commands_of(Offers)) == {"look"}


def test_a_name_that_is_no_entry_point_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "backdoor_of_a_test.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert Registry(lambda: ()).find("backdoor_of_a_test").cls is None
    assert "backdoor_of_a_test" not in sys.modules


class _Owner:
    def begun(self, resumed: bool, lost: tuple[str, ...]) -> None: ...

    def message(self, element: object) -> None: ...

    presence = iq = message


async def test_a_stream_brings_one_extension_and_neither_compression_nor_carbons() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    stream = Stream(Login("a@amon.test", "x"), _Owner(), context, Limits(), logging.getLogger(), keys={})
    brought = {name for name in stream.plugin if name.startswith("xep_")}
    assert not brought & {"xep_0138", "xep_0280", "xep_0297", "xep_0313", "xep_0050", "xep_0060"}
    assert "xep_0198" in brought


def test_a_message_has_no_field_for_what_its_sender_says_he_is() -> None:
    assert {name for name in Received.__slots__ if "role" in name or "admin" in name} == set()
