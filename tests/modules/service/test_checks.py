"""Checks against real listeners: what passes, what fails, and that nothing hangs or piles up."""

import asyncio
import datetime
import ipaddress
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from modules.service import Check
from modules.service.checks import Checker

Script = Callable[..., tuple[str, ...]]
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(answer: Answer | None = None, secured: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on a free port of loopback; without an answer it takes connections and says nothing."""
    writers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        if answer is not None:
            await answer(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=secured)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()


def says(text: bytes) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text)
        writer.close()

    return answer


def certificate(tmp_path: Path, name: str) -> Path:
    """A certificate for 127.0.0.1 by itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(called, called, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = tmp_path / f"{name}.pem"
    path.write_bytes(made.public_bytes(Encoding.PEM) + plain)
    return path


async def ask(check: Check) -> tuple[bool, str]:
    result = await Checker(check, {}).ask()
    return result.good, result.text


async def test_a_port_that_is_open_passes() -> None:
    async with listening() as port:
        assert await ask(Check(tcp=f"127.0.0.1:{port}")) == (True, f"tcp 127.0.0.1:{port} connects")


async def test_a_port_that_is_closed_fails_with_its_reason() -> None:
    async with listening() as port:
        pass
    assert await ask(Check(tcp=f"127.0.0.1:{port}")) == (False, f"tcp 127.0.0.1:{port}: connection refused")


async def test_a_name_that_does_not_exist_fails() -> None:
    good, text = await ask(Check(tcp="no-such-host.invalid:80", timeout=10))
    assert not good
    assert text.startswith("tcp no-such-host.invalid:80: ")


@pytest.mark.parametrize(
    ("status_line", "expected", "good"),
    [
        (b"HTTP/1.1 200 OK", 0, True),
        (b"HTTP/1.0 302 Found", 0, True),
        (b"HTTP/1.1 404", 0, False),
        (b"HTTP/1.1 503 Unavailable", 0, False),
        (b"HTTP/1.1 401 Unauthorized", 401, True),
        (b"HTTP/1.1 200 OK", 204, False),
    ],
)
async def test_http_is_judged_by_its_status(status_line: bytes, expected: int, good: bool) -> None:
    async with listening(says(status_line + b"\r\n\r\n")) as port:
        address = f"http://127.0.0.1:{port}/health?deep=1"
        status = int(status_line.split()[1])
        assert await ask(Check(http=address, status=expected)) == (good, f"{address}: status {status}")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "answers something that is not HTTP"),
        (b"HTTP/1.1 20\xff OK\r\n", "answers something that is not HTTP"),
        (b"x" * 100_000, "answers something that is not HTTP"),
        (b"", "closed the connection without an answer"),
    ],
)
async def test_what_is_not_http_fails(said: bytes, why: str) -> None:
    async with listening(says(said)) as port:
        good, text = await ask(Check(http=f"http://127.0.0.1:{port}/"))
        assert (good, text) == (False, f"http://127.0.0.1:{port}/: {why}")


async def test_a_listener_that_hangs_fails_at_its_time() -> None:
    async with listening() as port, asyncio.timeout(5):
        good, text = await ask(Check(http=f"http://127.0.0.1:{port}/", timeout=0.2))
        assert (good, text) == (False, f"http://127.0.0.1:{port}/: no answer in 0.2 s")


async def test_one_that_trickles_fails_at_its_time_too() -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"H")
            await asyncio.sleep(0.05)

    async with listening(trickle) as port, asyncio.timeout(5):
        good, _ = await ask(Check(http=f"http://127.0.0.1:{port}/", timeout=0.3))
        assert not good


async def test_what_does_not_speak_tls_fails() -> None:
    async with listening(says(b"HTTP/1.1 200 OK\r\n")) as port:
        good, text = await ask(Check(http=f"https://127.0.0.1:{port}/", timeout=0.5))
        assert not good
        assert text.startswith(f"https://127.0.0.1:{port}/: ")


async def test_https_is_trusted_only_by_its_authority(tmp_path: Path) -> None:
    ours, other = certificate(tmp_path, "ours"), certificate(tmp_path, "other")
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(ours)
    async with listening(says(b"HTTP/1.1 200 OK\r\n\r\n"), served) as port:
        address = f"https://127.0.0.1:{port}/"
        assert await ask(Check(http=address, ca=str(ours))) == (True, f"{address}: status 200")
        for ca in (str(other), ""):
            assert await ask(Check(http=address, ca=ca)) == (False, f"{address}: TLS: CERTIFICATE_VERIFY_FAILED")
        assert await ask(Check(http=address, ca="/nowhere")) == (
            False,
            f"{address}: cannot read /nowhere: No such file or directory",
        )


async def test_a_program_is_judged_by_its_exit_status(script: Script) -> None:
    good = script("echo fine", name="good")
    bad = script("echo first; echo 'no \033[1mdatabase\a'; exit 7", name="bad")
    assert await ask(Check(argv=good)) == (True, "check good: exit status 0: fine")
    assert await ask(Check(argv=bad)) == (False, "check bad: exit status 7: no database\ufffd")


async def test_a_program_that_is_not_there_fails() -> None:
    assert await ask(Check(argv=("/nowhere/check",))) == (False, "cannot run /nowhere/check: no such program")


async def test_a_program_that_hangs_is_killed_with_its_children(script: Script, tmp_path: Path, until: Any) -> None:
    hangs = script("sleep 601 & echo $! > $here/child; trap '' TERM; sleep 601", name="hangs")
    async with asyncio.timeout(10):
        assert await ask(Check(argv=hangs, timeout=0.5)) == (False, "check hangs: no end in 0.5 s, killed")
    child = int((tmp_path / "child").read_text())
    await until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


async def test_a_check_that_is_cancelled_leaves_no_program(script: Script, tmp_path: Path, until: Any) -> None:
    hangs = script("echo $$ > $here/pid; exec sleep 601", name="hangs")
    asked = asyncio.create_task(ask(Check(argv=hangs, timeout=60)))
    pid = int(await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert not psutil.pid_exists(pid)


async def test_fifty_megabytes_said_by_a_check_cost_nothing(script: Script) -> None:
    loud = script("head -c 52428800 /dev/zero | tr '\\0' x; echo; echo the end", name="loud")
    before = psutil.Process().memory_info().rss
    assert await ask(Check(argv=loud, timeout=30)) == (True, "check loud: exit status 0: the end")
    assert psutil.Process().memory_info().rss - before < 16 * 1024 * 1024


async def test_a_child_that_keeps_the_pipe_does_not_hold_us(script: Script, tmp_path: Path) -> None:
    leaves = script("echo started; setsid sleep 602 & echo $! > $here/child", name="leaves")
    async with asyncio.timeout(5):
        assert await ask(Check(argv=leaves, timeout=60)) == (True, "check leaves: exit status 0: started")
    os.kill(int((tmp_path / "child").read_text()), 9)


async def test_no_descriptors_are_left_behind(script: Script) -> None:
    good = script("echo fine", name="good")
    await ask(Check(argv=good))
    before = psutil.Process().num_fds()
    for _ in range(20):
        await ask(Check(argv=good))
    assert psutil.Process().num_fds() == before
