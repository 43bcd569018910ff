"""Login by SCRAM against the examples of the standards."""

import base64

import pytest

from amon.xmpp.scram import Keys, Mistrust, Scram


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def plain(text: str) -> str:
    return base64.b64decode(text).decode()


# RFC 5802, 5 and RFC 7677, 3.
EXAMPLES = [
    (
        "SCRAM-SHA-1",
        "fyko+d2lbbFgONRv9qkxdawL",
        "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    (
        "SCRAM-SHA-256",
        "rOprNGfwEbeRWgbNEkqO",
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
]


@pytest.mark.parametrize(("mechanism", "nonce", "challenge", "answer", "success"), EXAMPLES)
def test_the_examples_of_the_standards(mechanism: str, nonce: str, challenge: str, answer: str, success: str) -> None:
    scram = Scram(mechanism, "user", b"pencil", {}, nonce)
    assert plain(scram.first()) == f"n,,n=user,r={nonce}"
    assert plain(scram.answer(encoded(challenge))) == answer
    scram.verify(encoded(success))


def test_the_key_is_derived_once_for_all_logins() -> None:
    keys: Keys = {}
    for nonce in ("a", "b"):
        Scram("SCRAM-SHA-256", "user", b"pencil", keys, nonce).answer(encoded(f"r={nonce}x,s=QSXCR+Q6sek8bf92,i=4096"))
    assert len(keys) == 1


def test_names_are_quoted() -> None:
    assert "n=a=3Db=2Cc,r=" in plain(Scram("SCRAM-SHA-1", "a=b,c", b"x", {}).first())


@pytest.mark.parametrize(
    "challenge",
    [
        "r=nother,s=QSXCR+Q6sek8bf92,i=4096",
        "r=n,s=QSXCR+Q6sek8bf92,i=4096",
        "m=ext,r=nx,s=QSXCR+Q6sek8bf92,i=4096",
        "r=nx,s=QSXCR+Q6sek8bf92",
        "r=nx,s=QSXCR+Q6sek8bf92,i=-1",
        "r=nx,s=QSXCR+Q6sek8bf92,i=٣٣٣٣٣",
        "r=nx,s=***,i=4096",
        "",
    ],
)
def test_a_false_challenge_gets_no_answer(challenge: str) -> None:
    with pytest.raises(Mistrust):
        Scram("SCRAM-SHA-1", "user", b"pencil", {}, "n" if "nother" not in challenge else "m").answer(
            encoded(challenge)
        )


@pytest.mark.parametrize("success", ["", "v=", "v=AAAA", "e=other-error", "\u00e9"])
def test_a_server_without_proof_is_not_trusted(success: str) -> None:
    scram = Scram("SCRAM-SHA-1", "user", b"pencil", {}, "n")
    scram.answer(encoded("r=nx,s=QSXCR+Q6sek8bf92,i=4096"))
    with pytest.raises(Mistrust):
        scram.verify(encoded(success))


def test_what_is_not_base64_is_not_trusted() -> None:
    with pytest.raises(Mistrust):
        Scram("SCRAM-SHA-1", "user", b"pencil", {}).answer("!!!")
