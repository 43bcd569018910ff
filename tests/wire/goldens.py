"""Payloads of every kind, each with and without what it may leave out: what the golden files were written from.

`python -m tests.wire.goldens 1.1` writes those of this version that are not there; a file that is there is never
changed, because it is what is out in the world. Those of 1.0 were written by this same file on the tree of that time.
"""

import json
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from amon import wire
from amon.access import COMMAND, RESULT
from amon.access.sshsig import SigningKey

HERE = Path(__file__).with_name("golden")
ID = "01JD8M5W8X1V6Q2R3S4T5V6W7X"
ALICE, SITE, FLEET = "alice@people.example", "cern@agents.example", "ops@rooms.example"

COLUMNS = (("name", None, "what it is"), ("size", "B", "how large"))
_AT = 1_795_000_000.25

Fields = dict[str, Any]
PLAIN: dict[str, tuple[str, Fields]] = {
    "request": ("Request", {"names": ("cern",), "line": "uptime", "deadline": 30.0}),
    "request-all": (
        "Request",
        {
            "names": ("cern", "nikhef"),
            "line": 'service restart "ü\\"',
            "deadline": 2.5,
            "job_sites": 250,
            "dry_run": True,
            "confirmed": True,
        },
    ),
    "request-sites": (
        "Request",
        {
            "names": ("cern",),
            "line": "probe ping @nikhef",
            "deadline": 30.0,
            "sites": {"nikhef": "192.0.2.1 2001:db8::1", "desy": ""},
        },
    ),
    "fetch": ("Fetch", {}),
    "fetch-part": ("Fetch", {"offset": 65_536}),
    "heard": ("Heard", {}),
    "heard-all": ("Heard", {"seq": 17}),
    "cancel": ("Cancel", {}),
    "policy": ("NewPolicy", {"text": "serial = 4\n", "sig": "U1NIU0lH"}),
    "gathered": ("Gathered", {"state": "done"}),
    "gathered-not": ("Gathered", {"told": False}),
    "slot-wish": ("SlotWish", {"name": "db-upgrade", "of": 2}),
    "slot-wish-all": ("SlotWish", {"name": "db-upgrade", "of": 2, "held": ("cern",), "wants": ("nikhef", "desy")}),
    "accepted": ("Accepted", {}),
    "progress": ("Progress", {}),
    "progress-all": ("Progress", {"text": "packages", "fraction": 0.5}),
    "needs-word": ("NeedsWord", {"effect": "change"}),
    "needs-word-all": ("NeedsWord", {"effect": "danger", "text": "would restart it", "signature": True}),
    "output": ("Output", {"seq": 1}),
    "output-all": (
        "Output",
        {"seq": 2, "items": ({"name": "a", "size": 1}, "b"), "text": "a\nb", "columns": COLUMNS, "missed": 3},
    ),
    "output-replaces": ("Output", {"seq": 3, "items": ({"name": "a"},), "text": "a\nb", "replaces": True}),
    "chunk": ("Chunk", {"offset": 0}),
    "chunk-all": ("Chunk", {"offset": 65_536, "data": "YW1vbg=="}),
    "slot-lease": ("SlotLease", {"name": "db-upgrade"}),
    "slot-lease-all": (
        "SlotLease",
        {"name": "db-upgrade", "sites": ("cern",), "seconds": 60.0, "waiting": 1, "refused": "two at most"},
    ),
    "ended": ("Ended", {"state": "done"}),
    "ended-all": (
        "Ended",
        {
            "state": "failed",
            "text": "line one\nüç",
            "data": [{"name": "a", "size": 1.5}, None, True],
            "columns": COLUMNS,
            "seconds": 0.125,
            "cut": True,
        },
    ),
    "ended-whole": ("Ended", {"state": "done", "text": "the first lines", "cut": True, "whole": ("a" * 64, 70_000)}),
}


def made() -> Iterator[tuple[str, Any]]:
    """Those that this version knows."""
    for name, (kind, fields) in PLAIN.items():
        cls = getattr(wire, kind, None)
        if cls is None or not set(fields) <= set(cls.__struct_fields__):
            continue
        if "whole" in fields:
            digest, size = fields["whole"]
            fields = {**fields, "whole": wire.Whole(size, digest, lines=9, cut=True)}
        yield name, cls(ID, **fields)


def key() -> SigningKey:
    """One that everybody knows: it opens nothing."""
    return SigningKey._of(sha256(b"golden").digest())


def signed_request() -> str:
    envelope = wire.Envelope(ALICE, FLEET, _AT, _AT + 180, wire.Request(ID, ("cern",), "uptime", 30.0))
    body = wire.body_of(envelope)
    return wire.seal(body, key().sign(body.encode(), COMMAND))


def signed_end() -> str:
    ended = wire.Ended(ID, "done", "up for 3 d", {"seconds": 259_200}, COLUMNS[1:], 0.01)
    body = wire.body_of(wire.Proof(SITE, ALICE, _AT + 1, ended, "0" * 26))
    return wire.seal(body, key().sign(body.encode(), RESULT))


def written() -> dict[str, str]:
    """By the name of its file, each text as it travels."""
    health = wire.HealthReport("poor", 3, (("service/httpd", "poor", "down"),), 2, ("host", "service"))
    challenge = wire.Challenge(ID, SITE, ALICE, 1_795_000_000, 1_795_000_180, "service restart httpd")
    return {
        **{f"{name}.json": wire.encode(payload) for name, payload in made()},
        "signed-request.json": signed_request(),
        "signed-end.json": signed_end(),
        "health.json": wire.encode_health(health),
        "challenge.txt": str(challenge),
    }


def main(version: str) -> None:
    folder = HERE / version
    folder.mkdir(exist_ok=True)
    for name, text in written().items():
        path = folder / name
        if not path.exists():
            path.write_text(text, encoding="utf-8")
            print(json.dumps(name))


if __name__ == "__main__":
    main(sys.argv[1])
