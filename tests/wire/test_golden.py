"""What each version of the wire wrote is read for ever; what this one writes is what its files say, byte for byte.

And what a side that was never updated makes of it: reports with more in them than it knows are read, orders that it
does not know are not guessed at.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from amon import wire
from amon.access import COMMAND, RESULT
from amon.access.sshsig import verify
from amon.wire import decode, decode_health, read_challenge, read_envelope, read_proof, unseal
from tests.wire import wire_1_0
from tests.wire.goldens import ALICE, FLEET, HERE, ID, SITE, key, made, written

VERSIONS = ("1.0", "1.1")
SPECIAL = {"signed-request.json", "signed-end.json", "health.json", "challenge.txt"}
ORDERS = {"request", "fetch", "heard", "cancel", "policy", "gathered", "slot-wish"}


def kept(version: str) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in sorted((HERE / version).iterdir())}


def plain(versions: Iterable[str]) -> list[Any]:
    return [
        pytest.param(name, text, id=f"{version}-{name}")
        for version in versions
        for name, text in kept(version).items()
        if name not in SPECIAL
    ]


def test_this_version_writes_what_its_files_say_byte_for_byte() -> None:
    assert written() == kept("1.1")


def test_there_is_a_file_of_every_kind_and_of_every_field() -> None:
    missing = {cls.__name__: set(cls.__struct_fields__) for cls in wire.Payload.__args__}
    for _, payload in made():
        told = {field for field in payload.__struct_fields__ if field in msgspec.to_builtins(payload)}
        missing[type(payload).__name__] -= told
    assert {kind: fields for kind, fields in missing.items() if fields} == {}


def test_every_kind_of_1_0_has_its_file() -> None:
    kinds = {json.loads(json.loads(text)["body"])["type"] for name, text in kept("1.0").items() if name not in SPECIAL}
    assert kinds == {cls.__struct_config__.tag for cls in wire_1_0.Payload.__args__}


@pytest.mark.parametrize(("name", "text"), plain(VERSIONS))
def test_what_any_version_wrote_is_read_as_it_was_meant(name: str, text: str) -> None:
    assert decode(text) == dict(made())[Path(name).stem]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_any_version_signed_is_verified_and_read(version: str) -> None:
    files = kept(version)
    for name, namespace in (("signed-request.json", COMMAND), ("signed-end.json", RESULT)):
        sealed = unseal(files[name])
        assert sealed.sig is not None
        assert verify(sealed.body.encode(), sealed.sig, namespace) == key().public
    envelope = read_envelope(unseal(files["signed-request.json"]).body)
    assert (envelope.by, envelope.aud, envelope.request.line) == (ALICE, FLEET, "uptime")
    proof = read_proof(unseal(files["signed-end.json"]).body)
    assert (proof.by, proof.to, proof.ended.data) == (SITE, ALICE, {"seconds": 259_200})


@pytest.mark.parametrize("version", VERSIONS)
def test_what_any_version_said_of_its_health_is_read(version: str) -> None:
    report = decode_health(kept(version)["health.json"])
    assert (report.level, report.ok, report.more) == ("poor", 3, 2)
    assert read_challenge(kept(version)["challenge.txt"]).line == "service restart httpd"


# A side of 1.0, and what is sent to it today


@pytest.mark.parametrize(("name", "text"), plain(["1.1"]))
def test_of_what_is_sent_today_an_old_side_reads_what_it_knows_and_refuses_the_rest(name: str, text: str) -> None:
    kind = json.loads(json.loads(text)["body"])["type"]
    if name in kept("1.0"):
        assert msgspec.to_builtins(wire_1_0.read(text)) == msgspec.to_builtins(wire_1_0.read(kept("1.0")[name]))
    elif kind == "ended":  # more in it than it knows
        assert isinstance(wire_1_0.read(text), wire_1_0.Ended)
    else:
        with pytest.raises(msgspec.ValidationError, match=r"offset|`sites`|Invalid value"):
            wire_1_0.read(text)


def test_an_old_side_reads_what_is_signed_today() -> None:
    for name, cls in (("signed-request.json", wire_1_0.Envelope), ("signed-end.json", wire_1_0.Proof)):
        assert isinstance(wire_1_0.read(kept("1.1")[name]), cls)


@pytest.mark.parametrize(("name", "text"), plain(["1.1"]))
def test_a_field_of_tomorrow_is_passed_over_in_a_report_and_not_in_an_order(name: str, text: str) -> None:
    body = json.loads(json.loads(text)["body"])
    told = wire.seal(json.dumps({**body, "of_tomorrow": "but do not"}))
    if body["type"] in ORDERS:
        with pytest.raises(wire.WireError, match="of_tomorrow"):
            decode(told)
    else:
        assert decode(told) == decode(text)


def test_a_kind_of_tomorrow_is_not_guessed_at() -> None:
    with pytest.raises(wire.WireError, match="of-tomorrow"):
        decode(wire.seal(json.dumps({"type": "of-tomorrow", "id": ID})))
