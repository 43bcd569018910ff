"""How the way to a server is written in a configuration: the same keys for an agent's account and for a console."""

from pathlib import Path
from typing import Annotated, Literal

from amon.fields import Field, Secret

Host = Annotated[
    str | None,
    Field(
        "server to connect to; else DNS tells (SRV records, then the domain)", longest=255, example="xmpp.example.org"
    ),
]
Port = Annotated[
    int | None, Field("its port; 5222, or 5223 for direct TLS", least=1, most=65535, unit="1", example=5222)
]
Tls = Annotated[Literal["starttls", "direct"], Field("direct goes with port 5223 or 443")]
CaFile = Annotated[
    Path | None, Field("trust only the authorities in this file (PEM); else the system's", example="/etc/amon/ca.pem")
]
Proxy = Annotated[
    Secret | None,
    Field(
        "http://user:password@host:port (HTTP CONNECT) or socks5://host:port",
        secret=True,
        example="http://proxy.example.org:3128",
    ),
]
Pins = Annotated[
    tuple[Annotated[str, Field("a pin", pattern=r"sha256/[A-Za-z0-9+/]{43}=", longest=51)], ...],
    Field(
        "the only keys the server may have, whatever its CA says; give the next one too (RFC 7469)",
        longest=10,
        example=("sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",),
    ),
]
