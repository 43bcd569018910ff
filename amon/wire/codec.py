"""Payloads to text and back. What comes in is hostile: size first, then shape; unknown kinds and fields are errors.

An order that names a field twice is none: whoever reads it on its way might see the other value (RFC 8259, 4).
"""

import json
from typing import Any

import msgspec

from amon.wire.payload import Cancel, Fetch, Payload, Request

# Prosody takes 256 KiB per stanza by default (c2s_stanza_size_limit); JSON in XML grows by its quotes.
LONGEST_PAYLOAD = 131_072
_VERSION = 1


class WireError(ValueError):
    """Something that is not a payload of ours, in words for the log."""


class _Container(msgspec.Struct, forbid_unknown_fields=True):
    v: int
    body: str
    sig: str | None = None


_container = msgspec.json.Decoder(_Container)
_payload = msgspec.json.Decoder(Payload)
_encoder = msgspec.json.Encoder()


def encode(payload: Payload) -> str:
    """The text that travels. Raises `WireError` when it would be too long: cut the outcome before."""
    try:
        text = _encoder.encode(_Container(_VERSION, _encoder.encode(payload).decode())).decode()
    except UnicodeEncodeError:  # a lone surrogate: bytes of a terminal or a file name that are no UTF-8
        raise WireError("a text in it is not Unicode and cannot travel") from None
    if len(text) > LONGEST_PAYLOAD:
        raise WireError(f"payload of {len(text)} bytes; at most {LONGEST_PAYLOAD} travel")
    return text


def decode(text: str) -> Payload:
    """The payload in `text`, or `WireError`."""
    if len(text) > LONGEST_PAYLOAD:
        raise WireError(f"payload of {len(text)} characters; at most {LONGEST_PAYLOAD} are read")
    try:
        container = _container.decode(text)
        if container.v != _VERSION:
            raise WireError(f"payload of version {container.v}; this side speaks {_VERSION}")
        payload: Payload = _payload.decode(container.body)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as wrong:
        raise WireError(f"not a payload: {wrong}") from None
    if isinstance(payload, Request | Fetch | Cancel):
        for part in (text, container.body):
            json.loads(part, object_pairs_hook=_each_once)
    return payload


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        raise WireError("not a payload: a field is there twice")
