"""A program that is there from `async with` to its end, and gone also where its beginning failed."""

from types import TracebackType
from typing import Self


class Living:
    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _open(self) -> None:
        """Starts the program and waits until it can be used."""
        raise NotImplementedError

    async def close(self) -> None:
        """Ends it, however far it came."""
        raise NotImplementedError
