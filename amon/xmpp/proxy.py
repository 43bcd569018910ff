"""Through an HTTP CONNECT or SOCKS5 proxy, by the library python-socks (extra `proxy`), imported when first needed.

Sources: RFC 9110, 9.3.6 (CONNECT); RFC 1928, RFC 1929 (SOCKS5). TLS is made inside, with the server, not the proxy.
"""

import socket
from urllib.parse import unquote, urlsplit

from amon.errors import Failed
from amon.fields import Secret
from amon.xmpp.faults import Fault, Unreachable


def check_proxy(url: str) -> str:
    """`host:port` of a proxy address; `Failed` says what is wrong with it, without its password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
        parts = urlsplit("")
    if parts.scheme not in ("http", "socks5") or not host or not port:
        raise Failed(
            "`proxy` looks like http://proxy.example.org:3128 or socks5://user:password@proxy.example.org:1080"
        )
    return f"{host}:{port}"


async def through_proxy(url: str, host: str, port: int) -> socket.socket:
    """A socket connected to `host` and `port`. The proxy resolves the name."""
    try:
        name = check_proxy(url)
    except Failed as error:
        raise Unreachable(Fault("proxy", str(error), slow=True)) from None
    try:
        from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError
        from python_socks.async_.asyncio import Proxy
    except ImportError:
        text = "a proxy is configured but python-socks is not installed; next: pip install 'amon[proxy]'"
        raise Unreachable(Fault("proxy", text, slow=True)) from None
    try:
        # The library's own words could quote it; while this is tried, no log shows it.
        _hidden = Secret(unquote(urlsplit(url).password or "")), Secret(urlsplit(url).password or "")
        return await Proxy.from_url(url, rdns=True).connect(dest_host=host, dest_port=port)
    except ProxyError as error:
        text = f"the proxy {name} does not let us to {host} port {port} ({error.error_code or 'refused'})"
        raise Unreachable(Fault("proxy", text, slow=error.error_code in (403, 407))) from None
    except (ProxyConnectionError, ProxyTimeoutError, OSError):
        raise Unreachable(Fault("proxy", f"the proxy {name} does not answer")) from None
