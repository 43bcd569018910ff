"""A policy may want a signature, a yes or a second person for what only reads too; then it is not read without."""

from pathlib import Path

import pytest

from amon.access import Policy, Signers
from amon.access.signers import read_signers
from amon.access.sshkey import PublicKey
from amon.words import Effect
from tests.runtime.scene import ALICE, door, site

KEY_LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
KEY = PublicKey.from_line(KEY_LINE).fingerprint


@pytest.fixture
def signers() -> Signers:
    return read_signers(f"{ALICE} {KEY_LINE}", "signers")[0]


async def test_what_must_be_signed_to_be_read_is_not_read_unsigned(tmp_path: Path, signers: Signers) -> None:
    here = door(Policy(admin=(ALICE,), signed=(Effect.read,), confirm=(), rate=0), signers=signers)
    async with site(tmp_path) as lab:
        ear = await lab.ask("look", door=here)
        assert (ear.heard, lab.log) == (["needs a signature for read"], [])
        assert (await lab.ask("look", door=here, confirmed=True)).heard == ["needs a signature for read"]
        assert (await lab.ask("look --dry-run", door=here)).heard == ["done"]
        assert lab.log == []
        assert (await lab.ask("look", door=here, key=KEY)).heard == ["accepted", "done"]
        assert lab.log == ["look all"]


async def test_what_must_be_confirmed_to_be_read_is_not_read_at_once_when_it_is_typed(tmp_path: Path) -> None:
    here = door(Policy(admin=(ALICE,), confirm=(Effect.read,), rate=0))
    async with site(tmp_path) as lab:
        assert (await lab.ask("look", door=here, typed=True)).heard == ["needs a yes for read"]
        assert lab.log == []
        assert (await lab.ask("look", door=here, typed=True, confirmed=True)).heard == ["accepted", "done"]


async def test_several_sites_are_read_without_a_yes_where_none_is_wanted(tmp_path: Path) -> None:
    async with site(tmp_path) as lab:
        assert (await lab.ask("look", sites=9, typed=True)).heard == ["accepted", "done"]
