"""A program under test that is told to end by signals, with a service manager that listens."""

import asyncio
import signal
from pathlib import Path

from tests.e2e.world import Notices


class Running:
    """process: there once the program was started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notices = Notices(folder / "notify")
        self.process: asyncio.subprocess.Process

    async def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Exit code and all that it logged."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(20):
            _, said = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, said.decode()

    async def close(self) -> None:
        """Gone, also where the test failed."""
        self.notices.close()
        if hasattr(self, "process") and self.process.returncode is None:
            self.process.kill()
            await self.process.communicate()
