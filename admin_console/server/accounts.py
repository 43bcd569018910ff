"""Accounts of the private Prosody as the files it reads: SCRAM verifiers, never a password.

Sources: RFC 5802, 3 (what a server keeps); RFC 4013 (SASLprep); prosody's mod_auth_internal_hashed.lua and
util/datamanager.lua (record and path). Prosody opens the file at each login, so an account works at once, also while
the server runs.
"""

import hashlib
import hmac
import re
import secrets
import stringprep
import unicodedata
from pathlib import Path
from urllib.parse import unquote

from admin_console.server.files import write_private
from amon.errors import Invalid

# 0.12's own default. RFC 7677, 4 asks for at least 4096; the client pays the same count at every login.
ITERATIONS = 10_000
_NAME = re.compile(r"[a-z0-9][a-z0-9._+-]{0,63}")
_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def account_file(data: Path, jid: str, domains: tuple[str, ...]) -> Path:
    """Where Prosody looks for this account; refuses what is no plain account of one of `domains`."""
    name, at, domain = jid.lower().partition("@")
    if not at or not _NAME.fullmatch(name):
        raise Invalid(f"'{jid}' is no account: a name of letters, digits and . _ + -, then @ and the domain")
    if domain not in domains:
        raise Invalid(f"'{jid}' is not on this server; its domains are {', '.join(domains)}")
    return data / encoded(domain) / "accounts" / f"{encoded(name)}.dat"


def accounts(data: Path, domain: str) -> list[str]:
    """The names that have an account in this domain."""
    return sorted(unquote(file.stem) for file in (data / encoded(domain) / "accounts").glob("*.dat"))


def encoded(name: str) -> str:
    """A name as a file name, the way datamanager.lua does it: every byte but letters and digits as %xx."""
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"%{byte:02x}" for byte in name.encode())


def write_account(path: Path, password: str, iterations: int = ITERATIONS) -> None:
    """Puts the record in place at once, so that a login in the same moment finds the old one or the new one."""
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    write_private(path, record(password, secrets.token_hex(16), iterations))


def record(password: str, salt: str, iterations: int) -> str:
    """The Lua table of one account, with the verifiers of SCRAM-SHA-256."""
    # RFC 5802, 3: SaltedPassword := Hi(Normalize(password), salt, i); Hi is PBKDF2 with one block.
    salted = hashlib.pbkdf2_hmac("sha256", prepared(password).encode(), salt.encode(), iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    fields = {
        "stored_key": hashlib.sha256(client_key).hexdigest(),
        "server_key": hmac.digest(salted, b"Server Key", "sha256").hex(),
        "salt": salt,
    }
    lines = [f'\t["{name}"] = "{value}";\n' for name, value in fields.items()]
    return "return {\n" + "".join(lines) + f'\t["iteration_count"] = {iterations:d};\n}};\n'


def prepared(password: str) -> str:
    """The password as both ends hash it (SASLprep); what no client could send is refused."""
    # RFC 4013, 2.1: other spaces become the space, B.1 goes; then 2.2 NFKC, 2.3 and 2.4 prohibited output and bidi.
    mapped = "".join(
        " " if stringprep.in_table_c12(sign) else sign for sign in password if not stringprep.in_table_b1(sign)
    )
    text = unicodedata.normalize("NFKC", mapped)
    if not text or any(table(sign) for sign in text for table in _PROHIBITED) or not _one_direction(text):
        raise Invalid("this password cannot be used: it is empty or has characters that clients may not send")
    return text


def _one_direction(text: str) -> bool:
    # RFC 3454, 6: text with right-to-left characters begins and ends with one and has no left-to-right ones.
    if not any(stringprep.in_table_d1(sign) for sign in text):
        return True
    ends = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    return ends and not any(stringprep.in_table_d2(sign) for sign in text)
