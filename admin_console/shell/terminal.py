"""The shell at a terminal: a prompt that stays while results and sessions print above it. Source: prompt_toolkit.

One prompt is open all the time. A question of a job takes its place until it is answered; what was being typed comes
back afterwards. Ctrl-C says no to a question, stops the line that is under way, or empties the prompt: it never ends
the shell; Ctrl-D and `exit` do.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import in_terminal
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output import Output as Screen
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.styles import Style

from admin_console.plain import PlainFace
from admin_console.program import Output, coloured, face_of
from admin_console.shell import picture
from admin_console.shell.completer import ShellCompleter
from admin_console.shell.desk import Desk, Leave
from admin_console.shell.history import KeptHistory
from admin_console.shell.link import told_of_the_connection
from amon.command import split
from amon.errors import Failed, Invalid, Refused
from amon.ids import short
from amon.text import visible

_FIRST_LOOK = 1.0  # seconds that the first prompt waits for tags, so that they are proposed from the beginning
_LOOK_EVERY = 30.0  # seconds between two looks at the tags of sites that are new
_LOOKS_AGAIN = 0.3  # seconds for which a prompt holds; of a thousand sites one costs milliseconds, each key draws it
_REDRAW = 1.0  # seconds; the clock in the toolbar


class TerminalFront:
    """The person at the terminal. Only one question is open at a time; the others wait for it."""

    can_ask = True

    def __init__(self) -> None:
        self.question = ""
        self.changed = asyncio.Event()
        self._answer: asyncio.Future[str] | None = None
        self._turn = asyncio.Lock()

    async def ask(self, question: str) -> str:
        async with self._turn:
            self._answer = asyncio.get_running_loop().create_future()
            self.question = question
            self.changed.set()
            try:
                return await self._answer
            finally:
                self.question, self._answer = "", None
                self.changed.set()

    def answer(self, text: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(text)
            self.question = ""  # at once: the next line may be there already

    def face(self, output: Output) -> PlainFace:
        """Without a picture that moves: what moves here is the line below the prompt."""
        return face_of(output, moving=False)

    @contextlib.asynccontextmanager
    async def apart(self) -> AsyncIterator[None]:
        async with in_terminal():
            yield


class Terminal:
    """screen, keys: where prompt_toolkit reads and draws, if that is not the terminal of this program."""

    def __init__(
        self,
        desk: Desk,
        front: TerminalFront,
        history: KeptHistory,
        keys: Input | None = None,
        screen: Screen | None = None,
    ) -> None:
        self._desk, self._front = desk, front
        self._looked = asyncio.Event()
        self._pictured: tuple[object, float, picture.Parts] | None = None
        self._draft: Document | None = None  # what was being typed when a question came
        self._back = Document()  # what the next prompt begins with: what a question had taken the place of
        asking = Condition(lambda: bool(front.question))
        self._prompt: PromptSession[str] = PromptSession(
            self._message,
            completer=ShellCompleter(desk),
            complete_while_typing=~asking,
            history=history,
            bottom_toolbar=lambda: FormattedText([("", self.below())]),
            refresh_interval=_REDRAW,
            style=Style.from_dict({**picture.STYLES, "bottom-toolbar": "noreverse ansibrightblack"}),
            color_depth=None if coloured(desk.output.color) else ColorDepth.DEPTH_1_BIT,
            key_bindings=self._keys(),
            input=keys,
            output=screen,
        )

    async def live(self) -> int:
        """Until somebody leaves."""
        with patch_stdout(raw=True):
            note = self._front.face(Output()).note
            async with told_of_the_connection(self._desk, note), _kept(self._look()), _kept(self._follow()):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_FIRST_LOOK):
                        await self._looked.wait()
                while True:
                    begun, self._back = self._back, Document()
                    try:
                        line = await self._prompt.prompt_async(default=begun, pre_run=self._exchange)
                    except EOFError:
                        return 0
                    except KeyboardInterrupt:
                        continue
                    if not self._taken(line):
                        return 0

    def _taken(self, line: str) -> bool:
        """Whether the shell goes on."""
        if self._draft is not None:  # not `question`: it may have come while the line was on its way
            # Given back here and not when the question is seen to be gone: what is typed behind it would be lost.
            self._back, self._draft = self._draft, None
            self._front.answer(line)
            return True
        try:
            self._desk.enter(line)
        except Leave:
            return False
        except (Refused, Failed) as error:
            self._desk.tell(error)
        return True

    def _message(self) -> FormattedText:
        if self._front.question:
            return FormattedText([("bold", visible(self._front.question, lines=False))])
        session, now = self._desk.session, asyncio.get_running_loop().time()
        known = (self._desk.target, session.fleet.trouble)
        if self._pictured is None or self._pictured[0] != known or now - self._pictured[1] > _LOOKS_AGAIN:
            trouble = "lost" if session.fleet.trouble is not None else ""
            self._pictured = known, now, picture.prompt(self._desk.target, session.sites(), trouble)
        return FormattedText(self._pictured[2])

    @property
    def typed(self) -> str:
        """What stands at the prompt now."""
        return self._prompt.default_buffer.text

    @property
    def proposed(self) -> list[str]:
        """What the menu shows now."""
        state = self._prompt.default_buffer.complete_state
        return [one.text for one in state.completions] if state is not None else []

    def below(self) -> str:
        """The line below the prompt."""
        return picture.toolbar(self._usage(), self._under_way(), len(self._desk.work.waiting))

    def _under_way(self) -> list[tuple[str, str, int, int, float]]:
        now = asyncio.get_running_loop().time()
        known = [doing.id for doing in self._desk.work.under_way if doing.id]
        found = []
        for doing in self._desk.work.under_way:
            if doing.run is not None:
                book = doing.run.book
                ended = sum(row.state.ended for row in book.rows())
                found.append((short(doing.id, known), doing.line, ended, len(book), now - doing.began))
        return found

    def _usage(self) -> str:
        """Of the command that is being typed, once its name stands there."""
        text = self._prompt.default_buffer.document.text_before_cursor
        if " " not in text or text.startswith("@") or self._front.question:
            return ""
        try:
            words = [word.text for word in split(text)]
        except Invalid:
            return ""
        page = self._desk.learner.known_page(self._desk.session.sites(), words)
        return page.usage if page is not None else ""

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("c-c")
        def _(event: KeyPressEvent) -> None:
            self._interrupted(event)

        return keys

    def _interrupted(self, event: KeyPressEvent) -> None:
        front = self._front.face(Output())
        if self._front.question:
            event.current_buffer.reset()
            self._front.answer("")
        elif event.current_buffer.text:
            event.current_buffer.reset()
        elif not self._desk.work.interrupt():
            sessions = bool(self._desk.work.under_way)
            front.note("stop ends sessions, exit leaves" if sessions else "exit leaves, or Ctrl-D")

    async def _follow(self) -> None:
        """A question takes the place of what was being typed, and gives it back."""
        while True:
            await self._front.changed.wait()
            self._front.changed.clear()
            # A line that was entered just now is no answer to a question that came just now: the next prompt asks it.
            if self._prompt.app.is_running and not self._prompt.app.is_done:
                self._exchange()
            self._prompt.app.invalidate()

    def _exchange(self) -> None:
        buffer = self._prompt.default_buffer
        if self._front.question and self._draft is None:
            self._draft = buffer.document
            buffer.reset()
        elif not self._front.question and self._draft is not None:
            buffer.set_document(self._draft)
            self._draft = None

    async def _look(self) -> None:
        """What sites of kinds that are new are called by and can be asked."""
        while True:
            with contextlib.suppress(Failed, Refused):
                await self._desk.session.fleet.look_up()
                self._looked.set()
                await self._desk.learner.all_names(self._desk.session.sites())
            self._prompt.app.invalidate()
            await asyncio.sleep(_LOOK_EVERY)


@contextlib.asynccontextmanager
async def _kept(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """At work while the block lasts."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))
