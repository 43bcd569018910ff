"""A network of its own for each site: a namespace with one cable, which can be pulled and put back (ip-netns(8))."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cable:
    """name: of the namespace; a program is put into it by the words of `inside`."""

    name: str

    @property
    def inside(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name)

    async def pull(self) -> None:
        """No closed socket: nothing arrives any more, and nobody says so."""
        await ip("-n", self.name, "link", "set", f"{self.name}-b", "down")

    async def put_back(self) -> None:
        await ip("-n", self.name, "link", "set", f"{self.name}-b", "up")


async def ip(*words: str) -> None:
    process = await asyncio.create_subprocess_exec("ip", *words, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {said.decode()}")


@asynccontextmanager
async def cable(name: str, here: str, there: str) -> AsyncIterator[Cable]:
    """here, there: the addresses of its ends, of one /30."""
    await ip("netns", "add", name)
    try:
        await ip("link", "add", f"{name}-a", "type", "veth", "peer", "name", f"{name}-b", "netns", name)
        await ip("address", "add", f"{here}/30", "dev", f"{name}-a")
        await ip("link", "set", f"{name}-a", "up")
        await ip("-n", name, "address", "add", f"{there}/30", "dev", f"{name}-b")
        await ip("-n", name, "link", "set", f"{name}-b", "up")
        await ip("-n", name, "link", "set", "lo", "up")
        yield Cable(name)
    finally:
        await ip("netns", "delete", name)
