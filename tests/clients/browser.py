"""A browser without a screen, driven over a pipe: opens a page, runs scripts in it, waits for what it shows.

Chromium reads commands on descriptor 3 and writes what happens on 4, JSON with a zero byte behind each. Source:
`--remote-debugging-pipe`, Chrome DevTools Protocol (Target, Page, Runtime).
"""

import asyncio
import fcntl
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.clients.living import Living
from tests.clients.terminal import LOOK_EVERY, NeverCame

_PROGRAMS = ("chromium-headless-shell", "chromium")
_LAUNCH = "import os, sys; a = sys.argv; os.dup2(int(a[1]), 3); os.dup2(int(a[2]), 4); os.execvp(a[3], a[3:])"
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--no-first-run", "--remote-debugging-pipe", "--window-size=1200,1000",
)  # fmt: skip


class Browser(Living):
    """One page of one browser, with a profile of its own, from `async with` to its end."""

    def __init__(self) -> None:
        self._profile = Path(tempfile.mkdtemp(prefix="browser-"))
        self._process: asyncio.subprocess.Process | None = None
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._count = 0
        self._session = ""
        self.said: list[str] = []
        """What the page wrote to its console."""

    async def open(self, address: str) -> None:
        await self._call("Page.navigate", url=address)

    async def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        made = await self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in made:
            raise AssertionError(f"{script}: {made['exceptionDetails']}")
        return made["result"].get("value")

    async def wait(self, script: str, *, within: float = 20.0) -> None:
        """Until an expression in the page is a true one."""
        try:
            async with asyncio.timeout(within):
                while not await self.run(f"!!({script})"):  # noqa: ASYNC110 another process draws it
                    await asyncio.sleep(LOOK_EVERY)
        except TimeoutError:
            shown = await self.run("document.body ? document.body.innerText : ''")
            console = "\n".join(self.said[-20:])
            raise NeverCame(f"{script} within {within:g} s; the page shows:\n{shown}\n{console}") from None

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
        if self._process is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
            self._transport.close()
            self._out.close()
        shutil.rmtree(self._profile, ignore_errors=True)

    async def _open(self) -> None:
        program = next((found for name in _PROGRAMS if (found := shutil.which(name))), _PROGRAMS[0])
        (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
        # Far from 3 and 4, so that neither is overwritten before it is moved there.
        high = [fcntl.fcntl(one, fcntl.F_DUPFD, 30) for one in (theirs_in, theirs_out)]
        words = [sys.executable, "-c", _LAUNCH, *map(str, high), program, *_FLAGS, f"--user-data-dir={self._profile}"]
        self._process = await asyncio.create_subprocess_exec(
            *words,
            "about:blank",
            pass_fds=high,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "HOME": str(self._profile), "DBUS_SESSION_BUS_ADDRESS": "disabled:"},
        )
        for one in (theirs_in, theirs_out, *high):
            os.close(one)
        self._out = os.fdopen(ours_out, "wb", 0)
        reader = asyncio.StreamReader(limit=1 << 24)
        loop = asyncio.get_running_loop()
        ours = os.fdopen(ours_in, "rb", 0)
        self._transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), ours)
        self._reading = asyncio.create_task(self._read(reader))
        pages = (await self._call("Target.getTargets"))["targetInfos"]
        page = next(one["targetId"] for one in pages if one["type"] == "page")
        self._session = (await self._call("Target.attachToTarget", targetId=page, flatten=True))["sessionId"]
        await self._call("Page.enable")
        await self._call("Runtime.enable")

    async def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._count += 1
        told = {"id": self._count, "method": method, "params": params}
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[self._count] = future
        self._out.write(json.dumps(told | ({"sessionId": self._session} if self._session else {})).encode() + b"\0")
        async with asyncio.timeout(30):
            return await future

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            told = json.loads((await reader.readuntil(b"\0"))[:-1])
            future = self._answers.pop(told.get("id", 0), None)
            if future is not None and not future.done():
                if "error" in told:
                    future.set_exception(AssertionError(told["error"]))
                else:
                    future.set_result(told["result"])
            elif told.get("method") == "Runtime.consoleAPICalled":
                self.said.append(" ".join(str(one.get("value", "")) for one in told["params"]["args"])[:500])
