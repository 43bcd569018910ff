"""How a line of the shell is seen: by the face of its format, with its questions where the person is."""

import contextlib
from collections.abc import Iterator
from typing import Protocol

from admin_console.plain import PlainFace
from admin_console.program import Output
from admin_console.run import Run
from admin_console.shell.work import Doing, Work
from admin_console.tables import one_line, some_lines
from admin_console.wish import Report
from amon.wire import Output as Told


class Front(Protocol):
    """Who is there, and how he sees what comes."""

    can_ask: bool

    async def ask(self, question: str) -> str: ...
    def face(self, output: Output) -> PlainFace: ...
    def apart(self) -> contextlib.AbstractAsyncContextManager[None]:
        """While the block lasts the terminal is somebody else's: ssh-keygen asks for a passphrase."""
        ...


class Shown:
    """How one line is seen: by the face of the format, with its questions at the prompt."""

    def __init__(self, front: Front, output: Output, doing: Doing, work: Work) -> None:
        self.can_ask = front.can_ask
        self._face, self._front, self._doing, self._work = front.face(output), front, doing, work
        self._table = output.format == "table"

    @contextlib.contextmanager
    def watching(self, run: Run) -> Iterator[None]:
        self._doing.begins(run)
        with self._face.watching(run):
            yield

    def note(self, text: str) -> None:
        self._face.note(text)

    async def ask(self, question: str) -> str:
        return await self._front.ask(question)

    def output(self, site: str, output: Told) -> None:
        """Of a session: each line with its site in front, and its id where several sessions tell something."""
        self._doing.session()
        if not self._table or output.replaces:
            self._face.output(site, output)
            return
        several = sum(doing.streams for doing in self._work.under_way) > 1
        names = {doing: ident for ident, doing in self._work.ids()}
        head = f"{names.get(self._doing, '')} {one_line(site)}: " if several else f"{one_line(site)}: "
        if output.missed:
            self._face.note(f"{head}({output.missed} left out: this end was too slow for them)")
        for line in some_lines("\n".join(output.lines)).split("\n") if output.lines else ():
            self._face.line(f"{head}{line}")

    def report(self, report: Report) -> None:
        self._face.report(report)
