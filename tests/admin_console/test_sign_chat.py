"""From a chat to `amon sign` and back: what a site writes is signed by the real ssh-keygen, pasted, and done once."""

from pathlib import Path

from admin_console.challenges import answer_challenge
from amon.access import COMMAND, Policy, read_signers
from amon.testing import FakeClock
from tests.access.keygen import Keygen
from tests.admin_console.test_sign_command import Person
from tests.runtime.scene import ALICE, door, site
from tests.runtime.talk import Talk

NOW = 1_000_000


async def test_what_amon_sign_prints_is_what_the_site_wants_to_be_told(tmp_path: Path) -> None:
    key = Keygen(tmp_path).make()
    line = f'{ALICE} namespaces="{COMMAND}" {key.with_name("key.pub").read_text()}'
    signers, problems = read_signers(line, "signers")
    assert problems == []
    async with site(tmp_path, clock=FakeClock(NOW)) as lab:
        talk = Talk(lab)
        talk.chat = talk.front(door(Policy(owner=(ALICE,), rate=0), signers=signers))
        (said,) = await talk.alone('wipe "it\'s  two $(words)"')
        (challenge,) = (line for line in said.splitlines() if line.startswith("amon1 "))
        person = Person("y")
        pasted = await answer_challenge(challenge, key, ALICE, person, NOW + 20, COMMAND, yes=False)
        assert 'wipe "it\'s  two $(words)"' in person.text
        assert "warning" not in person.text
        assert lab.log == []
        (told,) = await talk.alone(pasted)
        assert told == "wiped"
        assert await talk.alone(pasted) != ["wiped"]
