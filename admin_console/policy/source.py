"""The file that people edit: `signers` and `[policy]`. What a program changes in it leaves comments and order alone.

Source: toml.io, v1.0.0; tomlkit keeps what it does not touch as it was written.
"""

from collections.abc import MutableSequence
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import ParseError
from tomlkit.items import Table

from admin_console.server.files import write_private
from amon.access.patterns import is_pattern
from amon.access.sshkey import PublicKey
from amon.access.sshsig import COMMAND
from amon.errors import Failed, Invalid
from amon.words import Role
from amon.xmpp.address import bare

MOST = 60_000  # characters; a bundle is one message
_TEMPLATE = """\
# The policy of all sites of {room}. `amon policy push` signs it and brings it to them;
# from then on it alone grants, and the file of a site can only take away. docs/policy.md tells more.

# Whose signatures count, and with which key: lines of ssh-keygen's allowed_signers.
signers = [{signers}]

[policy]
# A role may what the one before it may, and more. An address, an address with * before the @, or @group.
observer = []
operator = []
admin = []
owner = ["{me}"]

# What must be signed, and what two persons must want.
signed = ["danger"]
two_persons = []

[policy.groups]
# shift = ["bob@example.org", "carol@example.org"]

# Single commands, also for who has no role; and what is denied whatever the role.
# [[policy.allow]]
# who = ["@shift"]
# commands = ["service restart"]
# only = {{ name = "httpd|xrootd*" }}
# hours = ["Mon-Fri 08:00-18:00"]
# about = "day shift"
"""


class PolicyFile:
    """At `path`, which need not be there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self, room: str, me: str, key: PublicKey | None) -> None:
        """A first one, in which only `me` may everything. `Failed` if there is one already."""
        if self.path.exists():
            raise Failed(f"{self.path} is there already; next: edit it, then amon policy push")
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        signers = f"\n    '{_signer(me, key)}',\n" if key is not None else ""
        write_private(self.path, _TEMPLATE.format(room=room, me=me, signers=signers))

    def text(self) -> str:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise Failed(f"there is no policy at {self.path}; next: amon policy init") from None
        except (OSError, UnicodeDecodeError) as fault:
            raise Failed(f"{self.path} cannot be read: {fault}") from None
        if len(text) > MOST:
            raise Failed(f"{self.path} has {len(text)} characters; at most {MOST} fit into a message to a site")
        return text

    def grant(self, jid: str, role: str, key: PublicKey | None = None) -> bool:
        """Give a person this role and no other, and his key the right to sign. False: it stood there already."""
        if role not in Role.__members__:
            raise Invalid(f"{role!r} is no role; there are {', '.join(Role.__members__)}")
        _check_person(jid)
        document, before = self._open()
        policy = _table(document, "policy")
        for name in Role.__members__:
            if name != role:
                _remove(policy.get(name), jid)
        _add(policy, role, jid)
        if key is not None:
            _add(
                document, "signers", _signer(jid, key), known=lambda line: key.line in line and jid in _principals(line)
            )
        return self._close(document, before)

    def withdraw(self, jid: str) -> bool:
        """Take a person out of all that grants, and out of signers; denied he stays. False: he stood nowhere."""
        document, before = self._open()
        policy = _table(document, "policy")
        lists = [policy.get(name) for name in Role.__members__]
        for entries in lists:
            _remove(entries, jid)
        _remove_from_rules(policy.get("allow"), jid)
        _deny_in_person(policy, jid)
        for name, members in list(policy.get("groups", {}).items()):
            _remove(members, jid)
            if not members:
                _drop_group(policy, name, lists)
        signers = document.get("signers")
        for line in [line for line in signers or () if jid in _principals(str(line))]:
            _drop_signer(signers, str(line), jid)
        return self._close(document, before)

    def _open(self) -> tuple[Any, str]:
        text = self.text()
        try:
            return tomlkit.parse(text), text
        except ParseError as wrong:
            raise Failed(f"{self.path}: {wrong}; next: mend it") from None

    def _close(self, document: Any, before: str) -> bool:
        text = tomlkit.dumps(document)
        if text != before:
            write_private(self.path, text)
        return text != before


def _check_person(jid: str) -> None:
    if is_pattern(jid) or "@" not in jid or bare(jid) != jid.lower():
        raise Invalid(f"{jid[:64]!r} is no address of one person like bob@example.org; patterns are put in by hand")


def _principals(line: str) -> list[str]:
    return line.split(maxsplit=1)[0].split(",") if line.strip() else []


def _signer(jid: str, key: PublicKey) -> str:
    return f'{jid} namespaces="{COMMAND}" {key.line}'


def _table(document: Any, name: str) -> Any:
    if name not in document:
        document[name] = tomlkit.table()
    return document[name]


def _add(table: Any, name: str, value: str, known: Any = None) -> None:
    if name not in table:
        table[name] = tomlkit.array()
    entries = table[name]
    if not any(known(str(one)) if known else _same(one, value) for one in entries):
        entries.append(value)


def _remove(entries: MutableSequence[Any] | None, jid: str) -> None:
    for place in reversed(range(len(entries or ()))):
        if entries is not None and _same(entries[place], jid):
            del entries[place]


def _remove_from_rules(rules: MutableSequence[Table] | None, jid: str) -> None:
    """A rule that is left with nobody goes: an empty `who` is a mistake."""
    for place in reversed(range(len(rules or ()))):
        if rules is None:
            return
        who = rules[place].get("who")
        _remove(who, jid)
        if who is not None and len(who) == 0:
            del rules[place]


def _deny_in_person(policy: Any, jid: str) -> None:
    """Whoever is denied something as one of a group is denied it still when he is in that group no more."""
    groups = policy.get("groups", {})
    his = {f"@{name}" for name, members in groups.items() if any(_same(one, jid) for one in members)}
    for rule in policy.get("deny", ()):
        if his & {str(one) for one in rule.get("who", ())}:
            _add(rule, "who", jid)


def _drop_group(policy: Any, name: str, roles: list[Any]) -> None:
    """A group without people is a mistake too, and so is naming one that is not there."""
    del policy["groups"][name]
    for entries in roles:
        _remove(entries, f"@{name}")
    for rules in (policy.get("allow"), policy.get("deny")):
        _remove_from_rules(rules, f"@{name}")


def _drop_signer(signers: MutableSequence[Any], line: str, jid: str) -> None:
    """A line may be for several people."""
    rest = line.split(maxsplit=1)[-1]
    left = [one for one in _principals(line) if not _same(one, jid)]
    place = [str(one) for one in signers].index(line)
    if left:
        signers[place] = f"{','.join(left)} {rest}"
    else:
        del signers[place]


def _same(one: object, jid: str) -> bool:
    return str(one).lower() == jid.lower()
