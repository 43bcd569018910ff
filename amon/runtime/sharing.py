"""A long answer as a file: packed, discreet, put on the account's server; its link is said to who asked, alone.

Whoever has the link can read the file, so it is a secret like what stands in it: it is never said in a room nor logged.
"""

import asyncio
import codecs
import gzip
import shutil
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import BinaryIO

from amon.access import Quota
from amon.clock import Clock
from amon.errors import Failed, Refused
from amon.fields import shapes
from amon.runtime.dispatch import Dispatch
from amon.runtime.incoming import Incoming
from amon.runtime.pages import Key
from amon.runtime.veil import Veil
from amon.units import format_quantity

Upload = Callable[[str, BinaryIO, int, str], Awaitable[str]]
"""Name, what is in the file, its length, its content type -> the link. `Failed` says why there is none."""

PACKED_ABOVE = 65_536  # bytes
_SECRET = (
    "whoever has this link can read it: treat it as a secret; "
    "the server deletes it after a time that its administrator sets (often 7 days)"
)
_EACH = (6, 600.0)  # files of one person in so many seconds


class Sharing:
    """Of one account."""

    def __init__(self, site: str, dispatch: Dispatch, upload: Upload, clock: Clock) -> None:
        self._site = site
        self._dispatch = dispatch
        self._upload = upload
        self._clock = clock
        self._each = Quota(*_EACH)
        self._one = asyncio.Lock()

    async def share(self, incoming: Incoming, source: str | Key) -> str:
        """What to say of it: the link, or why there is none. source: a text, or an output that is kept whole."""
        decision = incoming.door.authority.decide(incoming.asker, None, self._clock.time())
        try:
            if not self._each.take(incoming.asker.jid, self._clock.monotonic()):
                raise Refused(f"at most {_EACH[0]} files in {_EACH[1] / 60:g} min; say more, or wait")
            async with self._one:
                said, outcome = await self._shared(incoming.id, source)
        except (Failed, Refused) as fault:
            outcome = f"no file: {fault}"
            said = f"{outcome}; on a console: amon run --save DIR {self._site} COMMAND"  # no console knows typed lines
        await self._dispatch.write_down(incoming, "file", decision, outcome)
        return said

    async def _shared(self, ident: str, source: str | Key) -> tuple[str, str]:
        texts = [source.encode()] if isinstance(source, str) else self._dispatch.outputs().parts(source)
        with self._dispatch.outputs().scratch() as plain, self._dispatch.outputs().scratch() as packed:
            try:
                size, length = await asyncio.to_thread(_pack, texts, tuple(shapes()), plain, packed)
            except OSError as error:
                raise Failed(f"it cannot be written here: {(error.strerror or str(error)).lower()}") from None
            name, is_packed = f"{self._site}-{ident[-6:]}.txt", size > PACKED_ABOVE
            if is_packed:
                link = await self._upload(f"{name}.gz", packed, length, "application/gzip")
            else:
                link = await self._upload(name, plain, size, "text/plain; charset=utf-8")
        packing = f", packed (gzip) {format_quantity(length, 'B')}" if is_packed else ""
        said = f"{self._site}: all of it, {format_quantity(size, 'B')}{packing}\n{link}\n{_SECRET}"
        return said, f"uploaded {length if is_packed else size} bytes"


def _pack(parts: Iterable[bytes], hides: tuple[str, ...], plain: BinaryIO, packed: BinaryIO) -> tuple[int, int]:
    """Into the one as it is, into the other in the form of gzip (RFC 1952); both are left at their beginning."""
    for part in _discreet(parts, hides):
        plain.write(part)
    size = plain.tell()
    plain.seek(0)
    if size > PACKED_ABOVE:
        with gzip.GzipFile("", "wb", 6, packed, 0) as file:
            shutil.copyfileobj(plain, file)
    length = packed.tell()
    packed.seek(0)
    return size, length


def _discreet(parts: Iterable[bytes], hides: tuple[str, ...]) -> Iterator[bytes]:
    """It was so when it was kept; a secret may have come since."""
    reader, veil = codecs.getincrementaldecoder("utf-8")(errors="replace"), Veil(hides)
    for part in parts:
        yield veil.feed(reader.decode(part)).encode()
    yield (veil.feed(reader.decode(b"", True)) + veil.end()).encode()
