"""Targets for what signatures stand on: SSHSIG, allowed_signers, envelopes, challenges, bundles, enrolment tokens."""

from amon.access import COMMAND, Authority, BadSignature, Policy, read_signers
from amon.access.bundle import BadBundle, Bundle, read_bundle
from amon.access.invitation import read_token
from amon.access.sshkey import Malformed, PublicKey, public_in
from amon.access.sshsig import BUNDLE, SigningKey, signer_of, verify
from amon.errors import Invalid
from amon.runtime.incoming import Door
from amon.runtime.seals import Seals
from amon.wire import (
    Envelope,
    Request,
    WireError,
    body_of,
    read_challenge,
    read_envelope,
    read_payload,
    read_proof,
    seal,
    unseal,
)
from amon.words import Asker
from tests.fuzz.target import CORPUS, Target, must, text_of

ALICE, OPS, NOW = "alice@amon.test", "ops@rooms.amon.test", 1_795_162_716.0
KEY = SigningKey._of(bytes(range(32)))  # the same in every run: nobody trusts it
LINE = f'{ALICE} namespaces="amon-cmd@v1" {KEY.public.line}'
MESSAGE = b"what was signed"
GOOD = KEY.sign(MESSAGE, COMMAND)
REQUEST = Request("01JD8M5W8X1V6Q2R3S4T5V6W7X", ("cern",), "service restart httpd", 30.0)
BODY = body_of(Envelope(ALICE, OPS, NOW, NOW + 60, REQUEST))
CONTAINER = seal(BODY, KEY.sign(BODY.encode(), COMMAND))
_FIRST = unseal((CORPUS / "envelope" / "good").read_text()).body  # the same, as the first version wrote it
FLEET_POLICY = f"""fleet = "{OPS}"
serial = 7
issued = "2026-11-20T12:00:00Z"
expires = "2027-02-20T12:00:00Z"
signers = ["{ALICE} {KEY.public.line}"]
[policy]
admin = ["{ALICE}"]
"""
_FLEET_SIG = KEY.sign(FLEET_POLICY.encode(), BUNDLE)
_AUTHORITY = Authority(Policy(admin=(ALICE,)), "agents.amon.test", read_signers(LINE, "signers")[0])
_DOOR = Door("vo", _AUTHORITY, "cern@agents.amon.test", frozenset((OPS,)))


def sshsig(data: bytes) -> None:
    """A signature in base64 or armored: only the one that was made is good."""
    text = text_of(data)
    try:
        key = signer_of(text, COMMAND)
        must(key.fingerprint.startswith("SHA256:"), "a key has a fingerprint")
        found = verify(MESSAGE, text, COMMAND)
    except BadSignature:
        return
    bare = "".join(line for line in text.split("\n") if not line.startswith("-----"))
    must(found == KEY.public and bare == GOOD, "a signature has one spelling")


def key(data: bytes) -> None:
    """Public keys on a line, and the public half of a private file."""
    try:
        made = PublicKey.from_line(text_of(data))
        must(PublicKey.from_line(made.line) == made, "a key written is the key read")
        must(len(made.point) == 32, "a key has 32 bytes")
    except Invalid:
        pass
    try:
        public_in(text_of(data))
    except Malformed:
        pass


def signers(data: bytes) -> None:
    """The file of keys: a line grants what it says, or is told as a mistake."""
    text = text_of(data)
    found, problems = read_signers(text, "signers")
    written = [line for line in text.split("\n") if line.strip(" \t\r") and not line.strip(" \t\r").startswith("#")]
    must(len(found.lines) + len(problems) == len(written), "a line is understood or told")
    for line in found.lines:
        must("@evil.test" in text.lower() or not line.may("eve@evil.test", COMMAND, NOW), "no * reaches over the @")


def envelope(data: bytes) -> None:
    """A container through all that looks at it; and the parsers behind the signature, as if it were good."""
    text = text_of(data)
    for read in (read_envelope, read_proof, read_payload):
        try:
            read(text)
        except WireError:
            pass
    try:
        sealed = unseal(text)
        if sealed.sig is not None:
            request, _ = Seals().open(sealed, ALICE, _DOOR, NOW)
            must(request == REQUEST and sealed.body in (BODY, _FIRST), "what was signed is obeyed, and nothing else")
    except (WireError, BadSignature):
        return


def challenge(data: bytes) -> None:
    """The line that a person signs: read, it says what stands there."""
    try:
        made = read_challenge(text_of(data))
    except Invalid:
        return
    must(str(made) == text_of(data), "a challenge has one spelling")
    must(not str(made).startswith("{"), "a challenge is no envelope")


def bundle(data: bytes) -> None:
    """A fleet's policy: with the signature of another one, and with a good one of its own."""
    for sig in (_FLEET_SIG, KEY.sign(data, BUNDLE)):
        try:
            made = read_bundle(data, sig, (KEY.public,))
        except BadBundle:
            continue
        must(sig != _FLEET_SIG or data == FLEET_POLICY.encode(), "a signature is over these bytes and no others")
        _nobody_else(made)


def _nobody_else(made: Bundle) -> None:
    authority = Authority(Policy(), "agents.amon.test", bundle=made)
    for jid in ("eve@evil.test", "desy@agents.amon.test"):
        decision = authority.decide(Asker(jid), None, NOW)
        domain = jid.partition("@")[2].encode()
        must(not decision.allowed or domain in made.text.lower() or b"\\" in made.text, "strangers stay strangers")


def token(data: bytes) -> None:
    """An enrolment token, whole, and what it says back in a token."""
    try:
        made = read_token(text_of(data))
    except Invalid as wrong:
        must(len(str(wrong)) < 2000, "an error is short")
        return
    must(read_token(made.token()) == made, "a token written is the token read")
    must(made.password not in repr(made), "no password in a repr")


TARGETS = (
    Target("sshsig", sshsig, (GOOD[:40], GOOD[-8:], "-----BEGIN SSH SIGNATURE-----\n", "=", "U1NIU0lH"), 60),
    Target("key", key, ("ssh-ed25519 ", "sk-ssh-ed25519@openssh.com ", KEY.public.line[12:], "-----BEGIN"), 60),
    Target("signers", signers, (LINE, "cert-authority", "valid-before=", '"20270101Z"', ",", "\n", "*@evil", "!"), 25),
    Target("envelope", envelope, ('"sig":"', '{"v":1,"body":"', '\\"by\\":', '{"type":"envelope"', "1795162716"), 60),
    Target("challenge", challenge, ("amon1 ", REQUEST.id, f" {ALICE} ", " 1795162716 ", "{"), 100),
    Target("bundle", bundle, ("serial = ", "[policy]", "[[policy.allow]]", "who = [", "expires", '"', "\n"), 5),
    Target("token", token, ("amon1.", "eyJqaWQiOiJ", "=", "_", "-"), 60),
)
