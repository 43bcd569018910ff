"""The TLS context of a process: one, shared by its connections (an own one costs each 37 ms and 0.9 MB)."""

import asyncio.sslproto
import ssl
from collections.abc import Callable
from pathlib import Path

from amon.errors import Failed

_MOST = 1024 * 1024  # bytes of a file of ours that are looked at

Source = Callable[[], ssl.SSLContext]


def tls_context(
    ca_file: Path | None = None, certificate: Path | None = None, certificate_key: Path | None = None
) -> ssl.SSLContext:
    """With a CA file that file is the only trust; slixmpp's own `ca_certs` would add to the system's 140.

    certificate: our own, with its chain, which servers that ask for one are shown; its key may be in the same file.
    """
    context = _trusting(ca_file)
    if certificate is not None:
        show_certificate(context, certificate, certificate_key)
    context.set_alpn_protocols(["xmpp-client"])  # XEP-0368: lets port 443 be shared
    return context


class Trusting(ssl.SSLContext):
    """One that knows whom it trusts, so that another can be made that trusts the same."""

    ca_file: Path | None = None


def same_trust(context: ssl.SSLContext) -> ssl.SSLContext:
    """For something else than XMPP at the same server; our own certificate is not shown there."""
    if not isinstance(context, Trusting):
        raise Failed("nobody knows whom this account trusts, so it cannot be trusted elsewhere")
    return _trusting(context.ca_file)


def _trusting(ca_file: Path | None) -> Trusting:
    context = Trusting(ssl.PROTOCOL_TLS_CLIENT)  # checks chain and host name
    context.ca_file = ca_file
    # RFC 6125, 6.4.4: a common name is no name of a server; host certificates of old grids have one with a service.
    context.hostname_checks_common_name = False
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is None:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(cafile=ca_file)
    except ssl.SSLError:
        raise Failed(f"{ca_file} holds no CA certificate in PEM form") from None
    except OSError as error:
        raise Failed(f"the CA file {ca_file} cannot be read: {error.strerror}") from None
    return context


def show_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None = None) -> None:
    """`Failed` says which of the two files is wrong and why."""
    for path in (certificate, key or certificate):
        try:
            with path.open("rb") as file:  # load_cert_chain(3) does not tell which one it could not read
                text = file.read(_MOST)
        except OSError as error:
            raise Failed(f"{path} cannot be read: {error.strerror}") from None
        if b"ENCRYPTED" in text:  # RFC 7468, 11; RFC 1421, 4.6.1.1
            raise Failed(f"the key in {path} is encrypted; one that is not is needed, with mode 0600")
    pair = f"{certificate} and {key}" if key else str(certificate)
    try:
        # Without a password OpenSSL would ask for one at the terminal, should it ever want it.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except ssl.SSLError as error:
        mixed = error.reason == "KEY_VALUES_MISMATCH"
        why = "its key is of another one" if mixed else "there is no certificate with its key in PEM form"
        raise Failed(f"{pair}: {why}") from None


def always(context: ssl.SSLContext) -> Source:
    """For a context that does not change."""
    return lambda: context


class Renewed:
    """The context with a certificate of ours; made anew at the next connect after its files have changed.

    Certificates live for weeks and are replaced under a running agent. In the moment between the two files the old
    context serves on.
    """

    def __init__(self, ca_file: Path | None, certificate: Path, certificate_key: Path | None = None) -> None:
        self._files = (ca_file, certificate, certificate_key)
        self._seen = self._marks()
        self._context = tls_context(*self._files)

    def __call__(self) -> ssl.SSLContext:
        marks = self._marks()
        if marks != self._seen:
            try:
                self._context = tls_context(*self._files)
                self._seen = marks
            except Failed:
                pass
        return self._context

    def _marks(self) -> list[tuple[int, int, int] | None]:
        return [_mark(path) for path in self._files[1:] if path is not None]


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def small_buffers(size: int = 16 * 1024) -> None:
    """For a process with many connections: asyncio keeps 256 KiB for each TLS connection, more than half its cost.

    Measured, 100 connections: 0.41 MB each without, 0.16 MB with. Holds for the whole process, for connections to come;
    a record of TLS has 16 KiB. uvloop keeps buffers of its own.
    """
    asyncio.sslproto.SSLProtocol.max_size = size
