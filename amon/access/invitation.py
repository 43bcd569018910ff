"""The token of an enrolment: all that a new site needs to become one, in a line that can be copied.

`amon1.` and base64url (RFC 4648, 5) of JSON. It holds a password: until it was used, whoever has it can become this
site, and no other: the account it opens exists already, under the name the token was made for.
"""

import base64
import binascii
import json
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from amon.convert import from_data
from amon.errors import Invalid, Problem
from amon.fields import Field

MARK = "amon1."
_MOST = 32 * 1024  # characters; a chain of authorities in PEM is 6 KiB
_LINE = 2000  # characters; of a longer line than 4095 a terminal hands over no more: termios(3), canonical mode
_ADDRESS = r"[^@/\s]+@[^@/\s]+"
_PEM = r"(-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*)+"

Address = Annotated[str, Field("an address", pattern=_ADDRESS, longest=512)]
Pin = Annotated[str, Field("a pin", pattern=r"sha256/[A-Za-z0-9+/]{43}=", longest=51)]
Key = Annotated[str, Field("a public key", pattern=r"[a-z0-9@.-]+ [A-Za-z0-9+/=]+", longest=1024)]
TagName = Annotated[str, Field("a tag", pattern=r"[a-z0-9][a-z0-9_.-]*", longest=32)]
TagValue = Annotated[str, Field("its value", pattern=r"[\w.:/+-]+", longest=64)]


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a token says. expires: epoch seconds. ca: authorities in PEM to trust, and only these; None is the system's.

    pins: keys the server may have. inviter: who made it; becomes the site's first admin. organisation: public keys
    that may sign policies for it.
    """

    jid: Address
    password: Annotated[str, Field("the password", pattern=r"[A-Za-z0-9_-]{20,}", longest=256)] = field(repr=False)
    room: Address
    inviter: Address
    expires: Annotated[float, Field("when it ends", least=0, unit="1")]
    host: Annotated[str | None, Field("the server", pattern=r"[A-Za-z0-9_.:%-]+", longest=255)] = None
    port: Annotated[int | None, Field("its port", least=1, most=65535, unit="1")] = None
    tls: Literal["starttls", "direct"] = "starttls"
    ca: Annotated[str | None, Field("authorities", pattern=_PEM, longest=24 * 1024)] = None
    pins: Annotated[tuple[Pin, ...], Field("keys of the server", longest=10)] = ()
    organisation: Annotated[tuple[Key, ...], Field("keys of the organisation", longest=20)] = ()
    tags: Annotated[dict[TagName, TagValue], Field("tags", longest=50)] = field(default_factory=dict)

    @property
    def site(self) -> str:
        return self.jid.partition("@")[0]

    def token(self) -> str:
        """The line to hand over."""
        said = {name: value for name, value in asdict(self).items() if value not in (None, (), {})}
        packed = json.dumps(said, separators=(",", ":")).encode()
        return MARK + base64.urlsafe_b64encode(packed).decode().rstrip("=")

    def written(self) -> str:
        """The token as people copy it: one line, or several where it has a long `ca` to say."""
        token = self.token()
        step = _LINE if len(token) > 2 * _LINE else len(token)
        return "\n".join(token[at : at + step] for at in range(0, len(token), step))


def read_token(text: str) -> Invitation:
    """The invitation in a token; `Invalid` with the next step. Blanks and line ends of a copy do not matter."""
    token = "".join(text.split())
    if not token:
        raise Invalid("there is no token; next: paste the line that `amon enroll SITE` printed")
    if not token.startswith(MARK) or len(token) > _MOST:
        raise Invalid(f"this is no token of amon: one begins with {MARK}; next: copy the whole line")
    problems: list[Problem] = []
    invitation = from_data(_unpacked(token), Invitation, "", problems)
    if invitation is None or problems:
        raise Invalid(f"this token cannot be used: {problems[0]}; next: is this amon older than the one that made it?")
    return invitation


def _unpacked(token: str) -> Any:
    packed = token.removeprefix(MARK)
    try:
        data = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
        return json.loads(data)
    except (binascii.Error, ValueError, RecursionError):
        raise Invalid("this token is not whole; next: copy it from its beginning to its end") from None
