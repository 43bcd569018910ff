"""Several captures into one file: each engine writes into a pipe of its own, and one pcap comes out.

Records stay whole; between two engines their order is that of coming (reordercap(1) puts them in that of time).
Source: draft-ietf-opsawg-pcap (4: file header, 5: records).
"""

import os
import selectors
import struct
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from select import POLLIN, poll

from amon.engine.linux.sink import Sink, Unread

HEADER, RECORD = 24, 16
"""Bytes."""
PACKET_MOST = 65_535
_PIECE = 65_536


@dataclass(slots=True)
class Merged:
    """packets, bytes: written whole, and all bytes with the headers. text: why it ended, if that was not the end of
    all."""

    packets: int = 0
    bytes: int = 0
    text: str = ""


@dataclass(slots=True)
class _Source:
    buffer: bytearray
    begun: bool = False


@dataclass(slots=True)
class _Ready:
    """To be written. ends: where in it a record ends."""

    data: bytearray = field(default_factory=bytearray)
    ends: list[int] = field(default_factory=list)


def merge(sources: Sequence[int], out: int, packets: int, size: int, enough: int) -> Merged:
    """Until all have ended, a limit is reached, or `enough` can be read from: that ends it also where nobody reads
    `out`. Blocks: for a thread. Closes the sources: then whoever still writes there is told so by the system."""
    sink = Sink(out)
    merged = Merged(text=sink.fault)
    told = poll()
    told.register(enough, POLLIN)
    with selectors.DefaultSelector() as selector:
        selector.register(enough, selectors.EVENT_READ)
        for source in sources:
            selector.register(source, selectors.EVENT_READ, _Source(bytearray()))
        try:
            while len(selector.get_map()) > 1 and not merged.text:
                for key, _ in selector.select():
                    if key.fd == enough:
                        merged.text = "who asked for it has gone"
                        continue
                    piece = os.read(key.fd, _PIECE)
                    if not piece:
                        selector.unregister(key.fd)
                    elif not merged.text:
                        ready = _take(key.data, piece, merged, packets, size)
                        _write(ready, merged, sink, lambda: bool(told.poll(0)))
        except Unread:
            merged.text = "its reader takes nothing"
        except OSError as error:
            merged.text = f"it cannot be written: {error.strerror}"
        finally:
            for source in sources:
                os.close(source)
    return merged


def _take(source: _Source, piece: bytes, merged: Merged, packets: int, size: int) -> _Ready:
    source.buffer += piece
    ready = _Ready()
    if not source.begun and len(source.buffer) >= HEADER:
        source.begun = True
        if not merged.bytes:
            ready.data += source.buffer[:HEADER]
        del source.buffer[:HEADER]
    while source.begun and not merged.text and (length := _record(source.buffer)):
        if length > RECORD + PACKET_MOST:
            merged.text = "an engine wrote no pcap"
        elif merged.packets + len(ready.ends) >= packets:
            merged.text = f"the limit of {packets} packets"
        elif merged.bytes + len(ready.data) + length > size:
            merged.text = f"the limit of {size} bytes"
        elif length > len(source.buffer):
            break
        else:
            ready.data += source.buffer[:length]
            ready.ends.append(len(ready.data))
            del source.buffer[:length]
    return ready


def _write(ready: _Ready, merged: Merged, sink: Sink, is_enough: Callable[[], bool]) -> None:
    done, view = 0, memoryview(ready.data)
    try:
        while done < len(view):
            done += sink.write(view[done:], is_enough)
    finally:
        merged.bytes += done
        merged.packets += bisect_right(ready.ends, done)


def _record(buffer: bytearray) -> int:
    """Bytes of the first record, of which more may be to come; 0 if that is not known yet."""
    return RECORD + int(struct.unpack_from("<I", buffer, 8)[0]) if len(buffer) >= RECORD else 0
