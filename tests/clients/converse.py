"""A real Jabber client in a browser: Converse.js, from the npm package that tests/clients/package-lock.json pins.

The page logs in by WebSocket; forms stand in the settings, under `Commands`. A test presses what a person presses and
reads the page. Source: conversejs.org/docs.
"""

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.clients.browser import Browser

DIST = Path(__file__).parents[2] / "build" / "converse" / "node_modules" / "converse.js" / "dist"
_PAGE = """<!doctype html><meta charset="utf-8"><title>amon</title>
<link rel="stylesheet" href="converse.min.css"><body class="converse-fullscreen"><div id="conversejs-bg"></div>
<script type="module" src="converse.min.js"></script>
<script type="module">
converse.plugins.add('amon', { initialize() { window.api = this._converse.api; } });
converse.initialize(SETTINGS);
</script>
"""
_ADHOC = "document.querySelector('converse-adhoc-commands')"


class Quiet(SimpleHTTPRequestHandler):
    """The folder of Converse, and one page more."""

    page = b""

    def do_GET(self) -> None:
        if self.path != "/":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.page)
        return None

    def log_message(self, *args: Any) -> None:
        pass


class Converse:
    """One person at a browser, from `async with` (logged in) to its end."""

    def __init__(self, jid: str, password: str, *, websocket: str) -> None:
        settings = {
            "authentication": "login",
            "auto_login": True,
            "jid": f"{jid}/converse",
            "password": password,
            "websocket_url": websocket,
            "discover_connection_methods": False,
            "view_mode": "fullscreen",
            "assets_path": "/",
            "whitelisted_plugins": ["amon"],
            "i18n": "en",
            "loglevel": "warn",
            "allow_url_history_change": False,
        }
        page = _PAGE.replace("SETTINGS", json.dumps(settings)).encode()
        handler = type("Page", (Quiet,), {"page": page})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(DIST)))
        self.browser = Browser()

    async def __aenter__(self) -> Self:
        self._serving = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._serving.start()
        try:
            await self.browser.__aenter__()
            await self.browser.open(f"http://127.0.0.1:{self._server.server_port}/")
            await self.browser.wait("window.api && window.api.connection.connected() && window.api.user.jid()")
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.browser.close()
        self._server.shutdown()
        self._server.server_close()
        self._serving.join()

    async def list_commands(self, jid: str) -> list[str]:
        """Opens the settings, asks for the commands of this address, and reads their names."""
        await self.browser.run("void api.modal.show('converse-user-settings-modal')")
        await self.browser.wait("document.querySelector('a[href=\"#commands-tabpanel\"]')")
        await self.press('a[href="#commands-tabpanel"]')
        await self.browser.wait(f"{_ADHOC} && {_ADHOC}.querySelector('input[name=jid]')")
        await self.fill("input[name=jid]", jid)
        await self.press("converse-adhoc-commands input[type=submit]")
        await self.browser.wait(f"{_ADHOC}.querySelector('[data-command-node]')")
        names = f"[...{_ADHOC}.querySelectorAll('[data-command-node]')].map(one => one.dataset.commandNode)"
        return list(await self.browser.run(names))

    async def choose(self, node: str) -> None:
        await self.press(f"converse-adhoc-commands [data-command-node={json.dumps(node)}]")

    async def fill(self, selector: str, value: str) -> None:
        """Puts a value into a field of the form."""
        field = f"{_ADHOC}.querySelector({json.dumps(selector)})"
        await self.browser.wait(field)
        await self.browser.run(f"{field}.value = {json.dumps(value)}")

    async def value(self, selector: str) -> str:
        """What stands in a field of the form."""
        return str(await self.browser.run(f"{_ADHOC}.querySelector({json.dumps(selector)}).value"))

    async def tick(self, selector: str) -> None:
        await self.press(f"converse-adhoc-commands {selector}")

    async def press(self, selector: str) -> None:
        await self.browser.wait(f"document.querySelector({json.dumps(selector)})")
        await self.browser.run(f"document.querySelector({json.dumps(selector)}).click()")

    async def action(self, name: str) -> None:
        """Next, Complete or Previous, when the form offers it."""
        await self.press(f"converse-adhoc-commands input[data-action={name}]")

    async def wait_shown(self, text: str) -> str:
        """The text of the dialog once this is in it."""
        await self.browser.wait(f"{_ADHOC} && {_ADHOC}.innerText.includes({json.dumps(text)})")
        return str(await self.browser.run(f"{_ADHOC}.innerText"))
