"""What a start brings in: looked at in a process of its own, for this one has imported everything."""

import subprocess
import sys

_LOOK = """
import sys, amon.xmpp.connection
print(*[name for name in ("slixmpp", "pygments", "aiodns") if name in sys.modules])
"""
_LATER = (
    "import amon.xmpp.connection, aiodns, pygments; print(aiodns.DNSResolver.__name__, pygments.highlight.__name__)"
)


def test_a_connection_brings_slixmpp_and_neither_colours_nor_a_resolver() -> None:
    assert _said(_LOOK) == "slixmpp"


def test_others_can_import_them_afterwards() -> None:
    assert _said(_LATER) == "DNSResolver highlight"


def _said(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.strip()
