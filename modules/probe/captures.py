"""The engine's own packets as pcap files: written by the engine into a file of this instance, fetched as text.

`capture` writes one and says its name; `captured NAME` gives it as base64, which the console saves whole however long
it is (`amon run --save DIR`), and `base64 -d` makes a file of it that tcpdump and tshark read.
"""

import asyncio
import base64
import os
import shutil
from pathlib import Path
from typing import Annotated

from amon.command import Call, command
from amon.errors import Failed, Refused
from amon.fields import Field
from amon.ids import short
from amon.units import format_quantity

from .answers import Caught
from .demand import Word
from .services import Services
from .shape import Stop
from .targets import packed

KEPT = 8
"""Files of one instance; the oldest make room."""
SIZE_MOST = 32 * 2**20
"""Bytes of one: with base64 it fits into what a site keeps of one output."""
_RESERVE = 64 * 2**20  # bytes that are left on the disk

Seconds = Annotated[float, Field("how long", unit="s", least=1, most=600)]
Packets = Annotated[int, Field("how many at most", least=1, most=1_000_000)]
Size = Annotated[int, Field("of the file at most", unit="B", least=1024, most=SIZE_MOST)]
Direction = Annotated[bool, Field()]
Name = Annotated[str, Field("of a capture, else a list", pattern=r"[0-9A-Z]{0,26}", longest=26, complete="names")]


class Captures(Services):
    """What of an instance deals with packets themselves."""

    @property
    def _folder(self) -> Path:
        return self.env.state / "captures"

    @command(role="admin", timeout=640)
    async def capture(
        self,
        call: Call,
        seconds: Seconds = 10,
        packets: Packets = 10_000,
        size: Size = 4 * 2**20,
        target: Word | None = None,
        sent: Direction = True,
        received: Direction = True,
    ) -> Caught:
        """Write the packet engine's own packets of this instance's tenant into a pcap file here.

        target: only those to or from one address. --no-sent, --no-received: only one direction.
        """
        engine = self.keeper.engine
        if engine is None:
            raise Refused(f"there is no packet engine here ({self.keeper.trouble or 'not looked for yet'})")
        address = await self._one_address(call, target)
        path = self._fresh(call.id)
        call.note(f"captures for {format_quantity(seconds, 's')}")
        with path.open("xb") as file:
            os.fchmod(file.fileno(), 0o600)
            limits = {"seconds": seconds, "packets": packets, "size": size}
            done = await engine.capture(file.fileno(), address=address, sent=sent, received=received, **limits)  # type: ignore[arg-type]
        self._make_room()
        return Caught(path.stem, done.packets, path.stat().st_size, done.left_out, done.text)

    @command(role="admin", timeout=120)
    async def captured(self, call: Call, name: Name = "") -> list[str] | list[Caught]:
        """The pcap file NAME as base64: amon run --save DIR SITE probe captured NAME; base64 -d DIR/SITE.txt >x.pcap"""
        if not name:
            return await asyncio.to_thread(self._listed)
        meant = [path for path in self._files() if path.stem.endswith(name)]
        if len(meant) != 1:
            said = "several captures end" if meant else "no capture ends"
            raise Refused(f"{said} in {name}; see: {self.env.name} captured")
        data = await asyncio.to_thread(meant[0].read_bytes)
        text = await asyncio.to_thread(base64.encodebytes, data)
        return text.decode().splitlines()

    def _listed(self) -> list[Caught]:
        return [Caught(path.stem, _packets(path), path.stat().st_size) for path in self._files()]

    def names(self) -> list[str]:
        """For completion."""
        return [path.stem for path in self._files()]

    async def _one_address(self, call: Call, target: Word | None) -> bytes | None:
        if target is None:
            return None
        ((_, host),) = self.meant(call, (target,), "any")
        try:
            return packed((await self.resolver.addresses(host, "any"))[0])
        except Stop as stop:
            raise Refused(stop.reason) from None

    def _fresh(self, ident: str) -> Path:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        free = shutil.disk_usage(self._folder).free
        if free < _RESERVE + SIZE_MOST:
            raise Failed(f"there is no room for a file here: {format_quantity(free, 'B')} are free")
        return self._folder / f"{short(ident, [*self.names(), ident])}.pcap"

    def _make_room(self) -> None:
        for path in self._files()[:-KEPT]:
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        """The oldest first."""
        found = self._folder.glob("*.pcap") if self._folder.is_dir() else ()
        return sorted(found, key=lambda path: path.stat().st_mtime)


def _packets(path: Path) -> int:
    """Records of a pcap, counted by their headers (draft-ietf-opsawg-pcap, 5)."""
    count, place, size = 0, 24, path.stat().st_size
    with path.open("rb") as file:
        while place + 16 <= size:
            file.seek(place + 8)
            place += 16 + int.from_bytes(file.read(4), "little")
            count += 1
    return count
