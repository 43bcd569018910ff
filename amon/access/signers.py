"""Who may sign with which key: OpenSSH's allowed_signers file, read strictly. Source: ssh-keygen(1) ALLOWED SIGNERS.

It is the file that `ssh-keygen -Y verify -f` reads, so an owner can try it by hand. Narrower than there, on purpose:
a principal is a bare address whose domain is written in full, so that no `*` reaches across the `@`; a certificate
authority is no signer; two kinds of key are taken. A line that is not understood signs nothing and is told.
"""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from amon.access.patterns import fits, is_pattern
from amon.access.sshkey import BLANKS, PublicKey
from amon.access.sshsig import BadSignature, signer_of, verify
from amon.errors import Invalid, Problem

_OPTION = r"[A-Za-z-]+(?:=\"[^\"\\]*\")?"
_OPTIONS = re.compile(rf"({_OPTION}(?:,{_OPTION})*)[ \t]+(.*)")
_ONE_OPTION = re.compile(r"([A-Za-z-]+)(?:=\"([^\"\\]*)\")?(?:,|$)")
_KEY_WORD = ("ssh-", "ecdsa-", "sk-")  # how every kind of key begins
_NOT_IN_ADDRESS = re.compile(r"[\s\x00-\x1f\x7f\"&'/:<>]")  # RFC 7622, 3.3.1
_TIME = re.compile(r"(\d{8})(?:(\d{4})(\d{2})?)?(Z?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Signer:
    """One line: these principals may sign with this key, for these namespaces (none named: all), at these times.

    after, before: seconds since 1970, both still inside; None: no limit.
    """

    principals: tuple[str, ...]
    key: PublicKey
    namespaces: tuple[str, ...] = ()
    after: float | None = None
    before: float | None = None

    def may(self, principal: str, namespace: str, now: float) -> bool:
        return (
            _in_list(self.principals, principal, _fits_principal)
            and (not self.namespaces or _in_list(self.namespaces, namespace, fits))
            and (self.after is None or now >= self.after)
            and (self.before is None or now <= self.before)
        )


@dataclass(frozen=True, slots=True)
class Signers:
    """All lines of one or several files. Empty: nobody signs."""

    lines: tuple[Signer, ...] = ()

    def __or__(self, other: "Signers") -> "Signers":
        return Signers(self.lines + tuple(line for line in other.lines if line not in self.lines))

    def verify(self, message: bytes, sig: str, namespace: str, principal: str, now: float) -> PublicKey:
        """The key of `principal`, a bare address, that signed; raises `BadSignature` for whatever is not right.

        Cheap first: the form, then whether the key is listed at all, and only then the signature.
        """
        key = signer_of(sig, namespace)
        if not any(line.key == key and line.may(principal, namespace, now) for line in self.lines):
            raise BadSignature(f"{key.fingerprint} is not a key of {principal} for {namespace} now")
        return verify(message, sig, namespace)

    def principals_of(self, key: PublicKey) -> tuple[str, ...]:
        """As they are written, each once; empty for a key that is not listed."""
        return tuple(dict.fromkeys(one for line in self.lines if line.key == key for one in line.principals))


def read_signers(text: str, path: str) -> tuple[Signers, list[Problem]]:
    """What a file says, and every line of it that says nothing. path: how problems name the file."""
    lines: list[Signer] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.strip(" \t\r")
        if not bare or bare.startswith("#"):
            continue
        try:
            lines.append(_line(bare))
        except Invalid as wrong:
            problems.append(Problem(f"{path} line {number}", wrong.message))
    return Signers(tuple(lines)), problems


def _line(text: str) -> Signer:
    principals, *rest = BLANKS.split(text, maxsplit=1)
    if not rest:
        raise Invalid("a line is `ADDRESS[,ADDRESS] [OPTIONS] ssh-ed25519 AAAA...`")
    patterns = _principals(principals)
    if rest[0].startswith(_KEY_WORD):
        return Signer(patterns, PublicKey.from_line(rest[0]))
    match = _OPTIONS.fullmatch(rest[0])
    if match is None:
        raise Invalid(
            'options are separated by commas and their values in double quotes, like namespaces="amon-cmd@v1"'
        )
    options = _options(match[1])
    key = PublicKey.from_line(match[2])
    after, before = (_moment(name, options.get(name)) for name in ("valid-after", "valid-before"))
    if after is not None and before is not None and before <= after:
        raise Invalid("valid-before is not later than valid-after, so this key is never valid")
    return Signer(patterns, key, _namespaces(options.get("namespaces")), after, before)


def _principals(text: str) -> tuple[str, ...]:
    patterns = tuple(text.split(","))
    for pattern in patterns:
        local, at, domain = pattern.removeprefix("!").partition("@")
        if not at or not local or not domain or "@" in domain or _NOT_IN_ADDRESS.search(pattern):
            raise Invalid(f"{pattern!r} is not a bare address like alice@example.org")
        if is_pattern(domain):
            raise Invalid(f"{pattern!r} would trust other domains; write the domain in full")
        if pattern != pattern.lower():
            raise Invalid(f"addresses have no capitals; write {pattern.lower()!r}")
    if all(pattern.startswith("!") for pattern in patterns):
        raise Invalid("this line names only who may not sign, so nobody may")
    return patterns


def _options(text: str) -> dict[str, str]:
    """Name to value, each once."""
    found: dict[str, str] = {}
    for match in _ONE_OPTION.finditer(text):
        name, value = match[1].lower(), match[2]
        if name == "cert-authority":
            raise Invalid("certificates are not taken here; list each person's own key")
        if name not in ("namespaces", "valid-after", "valid-before"):
            raise Invalid(f"unknown option {match[1]!r}; there are namespaces, valid-after and valid-before")
        if value is None:
            raise Invalid(f'{name} has no value; write it in double quotes, like {name}="..."')
        if name in found:
            raise Invalid(f"{name} is given twice; leave one of the two")
        found[name] = value
    return found


def _namespaces(value: str | None) -> tuple[str, ...]:
    if value is None:
        return ()
    patterns = tuple(value.split(","))
    if not all(pattern.removeprefix("!") for pattern in patterns):
        raise Invalid("namespaces has an empty place; write names with commas between them and no blanks")
    return patterns


def _moment(name: str, value: str | None) -> float | None:
    """Seconds since 1970. Without a Z it is the time of this machine without summer time, as ssh-keygen takes it."""
    if value is None:
        return None
    match = _TIME.fullmatch(value)
    try:
        if match is None:
            raise ValueError
        day, clock = match[1], (match[2] or "0000") + (match[3] or "00")
        written = datetime.strptime(day + clock, "%Y%m%d%H%M%S")
        moment = written.replace(tzinfo=UTC).timestamp() if match[4] else _local(written)
    except (ValueError, OverflowError):
        raise Invalid(f"{name} is YYYYMMDD or YYYYMMDDHHMM[SS], with a Z behind it for UTC; not {value!r}") from None
    if moment <= 0:
        raise Invalid(f"{name} {value!r} is before 1970")
    return moment


def _local(written: datetime) -> float:
    return time.mktime((*written.timetuple()[:6], 0, 0, 0))


def _in_list(patterns: Iterable[str], text: str, fit: Callable[[str, str], bool]) -> bool:
    """PATTERNS of ssh_config(5): one must fit, and none that begins with `!`."""
    fitting = [pattern for pattern in patterns if fit(pattern.removeprefix("!"), text)]
    return bool(fitting) and not any(pattern.startswith("!") for pattern in fitting)


def _fits_principal(pattern: str, principal: str) -> bool:
    """As ssh-keygen, which minds capitals; but a star stays on its side of the `@`."""
    (local, _, domain), (theirs, _, their_domain) = pattern.partition("@"), principal.partition("@")
    return domain == their_domain and fits(local, theirs)
