"""What travels between console and agents: versioned payloads, a codec without I/O, and limits.

A payload rides in `<amon xmlns='urn:amon:1'>` as JSON: a container that holds the body as one text, byte for byte as it
was written. A signature, when there is one, is over exactly those bytes, so nothing is canonicalised and nothing is
parsed before it is verified.

Console to site: `Request`, `Fetch`, `Cancel`. Site to console: `Accepted`, `Progress`, `NeedsWord`, `Ended`.
Health rides in presence as `<health xmlns='urn:amon:health:1'>`: see `HealthReport`.
"""

from amon.wire.codec import LONGEST_PAYLOAD, WireError, decode, encode
from amon.wire.health import HealthReport, decode_health, encode_health
from amon.wire.payload import Accepted, Cancel, Ended, Fetch, NeedsWord, Payload, Progress, Request

__all__ = [
    "LONGEST_PAYLOAD",
    "Accepted",
    "Cancel",
    "Ended",
    "Fetch",
    "HealthReport",
    "NeedsWord",
    "Payload",
    "Progress",
    "Request",
    "WireError",
    "decode",
    "decode_health",
    "encode",
    "encode_health",
]
