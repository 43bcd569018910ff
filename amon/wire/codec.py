"""Payloads to text and back. What comes in is hostile: size first, then shape; unknown kinds and fields are errors.

A container holds the body as one text, exactly as it was written. What is signed is opened in two steps, `unseal` and
then `read_envelope` or `read_proof`, with the look at the signature between them: nothing is parsed before that.
An order that names a field twice is none: whoever reads it on its way might see the other value (RFC 8259, 4).
"""

import json
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from amon.wire.payload import Cancel, Envelope, Fetch, Gathered, Heard, NewPolicy, Payload, Proof, Request, SlotWish

T = TypeVar("T")

# Prosody takes 256 KiB per stanza by default (c2s_stanza_size_limit); JSON in XML grows by its quotes.
LONGEST_PAYLOAD = 131_072
LONGEST_SIGNED = 65_536  # bytes of a body that a signature is over
_VERSION = 1


class WireError(ValueError):
    """Something that is not a payload of ours, in words for the log."""


class _Container(msgspec.Struct, forbid_unknown_fields=True):
    v: int
    body: str
    sig: Annotated[str, Meta(max_length=4096)] | None = None


@dataclass(frozen=True, slots=True)
class Sealed:
    """A container that was opened; nobody has read its body. sig: SSHSIG in base64, None for what is not signed."""

    body: str
    sig: str | None = None


_container = msgspec.json.Decoder(_Container)
_payload = msgspec.json.Decoder(Payload)
_envelope = msgspec.json.Decoder(Envelope)
_proof = msgspec.json.Decoder(Proof)
_encoder = msgspec.json.Encoder()


def encode(payload: Payload) -> str:
    """The text that travels, unsigned. Raises `WireError` when it would be too long: cut the outcome before."""
    return seal(body_of(payload))


def body_of(content: Payload | Envelope | Proof) -> str:
    """What stands in the container, and what a signature is over (as UTF-8)."""
    try:
        return _encoder.encode(content).decode()
    except UnicodeEncodeError:  # a lone surrogate: bytes of a terminal or a file name that are no UTF-8
        raise WireError("a text in it is not Unicode and cannot travel") from None


def seal(body: str, sig: str | None = None) -> str:
    """The container as it travels."""
    text = _encoder.encode(_Container(_VERSION, body, sig)).decode()
    if len(text) > LONGEST_PAYLOAD:
        raise WireError(f"payload of {len(text)} bytes; at most {LONGEST_PAYLOAD} travel")
    return text


def unseal(text: str) -> Sealed:
    """The container in `text`, its body unread, or `WireError`."""
    if len(text) > LONGEST_PAYLOAD:
        raise WireError(f"payload of {len(text)} characters; at most {LONGEST_PAYLOAD} are read")
    container = _read(_container, text)
    if container.v != _VERSION:
        raise WireError(f"payload of version {container.v}; this side speaks {_VERSION}")
    if container.sig is not None and len(container.body) > LONGEST_SIGNED:
        raise WireError(f"signed body of {len(container.body)} characters; at most {LONGEST_SIGNED} are read")
    _check_each_once(text)
    return Sealed(container.body, container.sig)


def decode(text: str) -> Payload:
    """The unsigned payload in `text`, or `WireError`. What is signed has a body of another kind, and is none."""
    sealed = unseal(text)
    if sealed.sig is not None:
        raise WireError("a signed payload where none is read")
    return read_payload(sealed.body)


def read_payload(body: str) -> Payload:
    payload: Payload = _read(_payload, body)
    if isinstance(payload, Request | Fetch | Heard | Cancel | NewPolicy | Gathered | SlotWish):
        _check_each_once(body)
    return payload


def read_envelope(body: str) -> Envelope:
    """Of a body whose signature was verified."""
    envelope = _read(_envelope, body)
    _check_each_once(body)
    return envelope


def read_proof(body: str) -> Proof:
    """Of a body whose signature was verified."""
    return _read(_proof, body)


def _read(decoder: "msgspec.json.Decoder[T]", text: str) -> T:
    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as wrong:
        raise WireError(f"not a payload: {str(wrong)[:200]}") from None  # it may quote a name of 100,000 letters


def _check_each_once(text: str) -> None:
    json.loads(text, object_pairs_hook=_each_once)


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        raise WireError("not a payload: a field is there twice")
