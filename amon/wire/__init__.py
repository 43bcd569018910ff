"""What travels between console and agents: versioned payloads, a codec without I/O, and limits.

A payload rides in `<amon xmlns='urn:amon:1'>` as JSON: a container that holds the body as one text, byte for byte as it
was written. A signature, when there is one, is over exactly those bytes, so nothing is canonicalised and nothing is
parsed before it is verified.

Console to site: `Request`, `Fetch`, `Heard`, `Cancel`, `NewPolicy`; signed: a request in its `Envelope`. Site to
console: `Accepted`, `Progress`, `NeedsWord`, `Output`, `Chunk`, `Ended`; signed: an end in its `Proof`. A person
without a console signs a `Challenge`.
Health rides in presence as `<health xmlns='urn:amon:health:1'>`: see `HealthReport`.
"""

import amon.wire.lean  # noqa: F401 -- before msgspec
from amon.wire.challenge import Challenge, read_challenge
from amon.wire.codec import (
    LONGEST_PAYLOAD,
    Sealed,
    WireError,
    body_of,
    decode,
    encode,
    read_envelope,
    read_payload,
    read_proof,
    seal,
    unseal,
)
from amon.wire.health import HealthReport, decode_health, encode_health
from amon.wire.payload import (
    SITES_MOST,
    Accepted,
    Cancel,
    Chunk,
    Ended,
    Envelope,
    Fetch,
    Gathered,
    Heard,
    NeedsWord,
    NewPolicy,
    Output,
    Payload,
    Progress,
    Proof,
    Request,
    SlotLease,
    SlotWish,
    Whole,
)

__all__ = [
    "LONGEST_PAYLOAD",
    "SITES_MOST",
    "Accepted",
    "Cancel",
    "Challenge",
    "Chunk",
    "Ended",
    "Envelope",
    "Fetch",
    "Gathered",
    "HealthReport",
    "Heard",
    "NeedsWord",
    "NewPolicy",
    "Output",
    "Payload",
    "Progress",
    "Proof",
    "Request",
    "Sealed",
    "SlotLease",
    "SlotWish",
    "Whole",
    "WireError",
    "body_of",
    "decode",
    "decode_health",
    "encode",
    "encode_health",
    "read_challenge",
    "read_envelope",
    "read_payload",
    "read_proof",
    "seal",
    "unseal",
]
