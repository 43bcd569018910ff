"""`amon shell`, given a console and where it is to be seen: logs in, then a terminal or a script says what is done."""

import sys
from collections.abc import Callable

from admin_console.api import Console
from admin_console.program import Output
from admin_console.session import Setup
from admin_console.settings import state_path
from admin_console.shell.desk import Desk
from admin_console.shell.link import told_of_the_connection

HISTORY = "shell_history"


async def run_shell(setup: Setup, output: Output, target: str | None, note: Callable[[str], None]) -> int:
    """The exit code: of a script that of its worst line, at a terminal 0."""
    async with Console(setup=setup, say=note) as console:
        if sys.stdin.isatty() and sys.stdout.isatty():
            return await _at_terminal(console, setup, output, target)
        return await _script(console, setup, output, target, note)


async def _at_terminal(console: Console, setup: Setup, output: Output, target: str | None) -> int:
    from admin_console.shell.history import KeptHistory
    from admin_console.shell.terminal import Terminal, TerminalFront

    front = TerminalFront()
    history = KeptHistory(state_path(setup.settings.room).parent / HISTORY)
    desk = Desk(console, setup, front, output, front.changed.set)
    desk.keep = history.keep
    try:
        if target is not None:
            desk.select(target)
        return await Terminal(desk, front, history).live()
    finally:
        await desk.close()


async def _script(
    console: Console, setup: Setup, output: Output, target: str | None, note: Callable[[str], None]
) -> int:
    from admin_console.shell.script import ScriptFront, lines_of, play

    desk = Desk(console, setup, ScriptFront(), output)
    try:
        await desk.session.fleet.look_up()
        if target is not None:
            desk.select(target)
        async with told_of_the_connection(desk, note):
            return await play(desk, lines_of(sys.stdin))
    finally:
        await desk.close()
