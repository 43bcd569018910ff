"""Parts of long outputs on their way to this console: as many as were asked for are read, and not one more.

A part is asked for by its offset (`amon.wire.Fetch`) and comes as a `Chunk`. How long parts are is the site's choice,
but all of one site are alike; so the window knows the offsets of the next ones.
"""

import asyncio
import base64
import binascii
import os
import zlib
from collections import Counter
from contextlib import AbstractContextManager
from hashlib import sha256
from types import TracebackType
from typing import BinaryIO, Self

from admin_console.session import Session
from amon.clock import Clock
from amon.errors import Failed
from amon.runtime.delivery import tell
from amon.runtime.mailbox import Gate, Letter, Mailbox
from amon.wire import Chunk, Fetch
from amon.words import Whole

AT_ONCE = 4  # sites
WINDOW = 8  # parts of one site that are asked for and not here yet
PATIENCE = 30.0  # seconds without a part, after which those under way are asked for again
_TRIES = 3
_LONGEST, _SHORTEST = 65_536, 4_096  # bytes of a part
_SLOWEST = 16_384.0  # bytes a second; slower than that for all of it is a site that only holds us up
_READ = 2**20


class Allowance(Gate):
    """A letter may come for each that was asked for; what nobody asked for is not even read."""

    def __init__(self) -> None:
        super().__init__()
        self._open: Counter[str] = Counter()

    def asked(self, site: str) -> None:
        self._open[site] = min(self._open[site] + 1, 2 * WINDOW)

    def takes(self, sender: str, size: int, now: float) -> bool:
        if self._open[sender] <= 0:
            del self._open[sender]
            return False
        self._open[sender] -= 1
        return True


class Fetching:
    """One output under way: what is asked for, and what is in the file. Pure but for the file."""

    def __init__(self, site: str, whole: Whole, file: BinaryIO) -> None:
        self.site = site
        self.whole = whole
        self.have = 0
        self.heard = asyncio.Event()
        self.fault = ""
        self.again = False
        self._file = file
        self._seen = sha256()
        self._step = 0
        self._whole_parts = True  # the next part begins where one of the site's begins
        self._open: set[int] = set()
        self._got: dict[int, bytes] = {}

    @property
    def digest(self) -> str:
        return self._seen.hexdigest()

    @property
    def over(self) -> bool:
        return self.have >= self.whole.size

    def take_up(self) -> None:
        """Go on behind what is in the file."""
        if os.fstat(self._file.fileno()).st_size > self.whole.size:
            self._file.truncate(0)
        self._file.seek(0)
        while block := self._file.read(_READ):
            self._seen.update(block)
            self.have += len(block)
        self._whole_parts = self.have == 0

    def wanted(self) -> list[int]:
        """Offsets to ask for now; with `again`, those under way as well."""
        if self.again:
            self._open.clear()
            self.again = False
        step = self._step or self.whole.size
        window = range(self.have, self.whole.size, step)[:WINDOW]
        new = [at for at in window if at not in self._open and at not in self._got]
        self._open.update(new)
        return new

    def take(self, chunk: Chunk) -> None:
        """One that was not asked for is nothing. `fault` says what is wrong with one that was."""
        if chunk.offset not in self._open:
            return
        self._open.discard(chunk.offset)
        try:
            part = _bytes_of(chunk.data)
        except (ValueError, binascii.Error, zlib.error):
            self.fault = self.fault or "sends what cannot be read"
        else:
            self.fault = self.fault or self._problem(chunk.offset, len(part))
            self._got[chunk.offset] = part
        self.heard.set()

    def _problem(self, offset: int, size: int) -> str:
        left = self.whole.size - offset
        if not size:
            return "does not keep it any more"
        if self._step:
            return "" if size == min(self._step, left) else "sends parts of another length than before"
        if size > left or (self._whole_parts and size < min(left, _SHORTEST)):
            return "sends parts of a length that cannot be"
        return ""

    def write(self) -> None:
        """What has come and is next."""
        while (part := self._got.pop(self.have, None)) is not None:
            if self._whole_parts and not self._step:
                self._step = len(part)
            self._whole_parts = True
            self._file.write(part)
            self._seen.update(part)
            self.have += len(part)
        self._file.flush()


class Mail(AbstractContextManager["Mail"]):
    """The letters of one job, for those of its outputs that are under way. patience: see `PATIENCE`."""

    def __init__(self, session: Session, ident: str, patience: float = PATIENCE) -> None:
        self._session, self._ident, self._patience = session, ident, patience
        self._clock: Clock = session.clock
        self._under: dict[str, Fetching] = {}
        self._allowance = Allowance()
        self._letters: Mailbox

    def __enter__(self) -> Self:
        self._opened = self._session.fleet.mail(self._ident)
        self._letters = self._opened.__enter__()
        self._letters.gate = self._allowance
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.__exit__(kind, error, trace)

    @property
    def under_way(self) -> int:
        """Bytes that are here of outputs that are not here to their end."""
        return sum(one.have for one in self._under.values())

    async def read(self) -> None:
        """Until cancelled: hand each letter to whom it is for."""
        while True:
            self._take(await self._letters.get())

    def _take(self, letter: Letter) -> None:
        if not letter.site:
            for fetching in self._under.values() if letter.here else ():
                fetching.again = True  # we are back, and what was sent meanwhile was sent to nobody
                fetching.heard.set()
            return
        under = self._under.get(letter.site)
        if under is None or letter.here:
            return
        if letter.payload is None and not letter.word:
            under.fault = "went offline" if letter.gone else letter.text or "is not there"
            under.heard.set()
        elif isinstance(letter.payload, Chunk):
            under.take(letter.payload)

    async def fetch(self, fetching: Fetching) -> None:
        """Until all of it is in the file; `Failed` says why not, and where it broke off."""
        self._under[fetching.site] = fetching
        began, first, silent = self._clock.monotonic(), fetching.have, 0
        try:
            while not fetching.over and silent < _TRIES:
                self._ask(fetching)
                try:
                    async with asyncio.timeout(self._patience):
                        await fetching.heard.wait()
                    silent = 0
                except TimeoutError:
                    silent, fetching.again = silent + 1, True
                fetching.heard.clear()
                if not fetching.fault:
                    await asyncio.to_thread(fetching.write)
                took = self._clock.monotonic() - began
                if took > 60 + (fetching.have - first) / _SLOWEST:
                    fetching.fault = fetching.fault or "is too slow"
                if fetching.fault:
                    break
        finally:
            del self._under[fetching.site]
        if not fetching.over:
            why = fetching.fault or "does not answer any more"
            raise Failed(f"{why}; {fetching.have} of {fetching.whole.size} bytes are here, the rest is at the site")

    def _ask(self, fetching: Fetching) -> None:
        for offset in fetching.wanted():
            self._allowance.asked(fetching.site)
            tell(self._session.fleet, fetching.site, Fetch(self._ident, offset))


def _bytes_of(data: str) -> bytes:
    """`ValueError` and its like for what no site of ours sends: one part is never longer than its place."""
    if not data:
        return b""
    reader = zlib.decompressobj()
    part = reader.decompress(base64.b64decode(data, validate=True), _LONGEST + 1)
    if len(part) > _LONGEST or not reader.eof or reader.unused_data:
        raise ValueError(data[:32])
    return part
