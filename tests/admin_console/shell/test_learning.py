"""Asking one site of each kind: seldom, never twice at once, and never for longer than somebody waits."""

import asyncio
from pathlib import Path

from admin_console.cache import Cache
from admin_console.completion import commands
from admin_console.shell.kinds import Kind
from admin_console.shell.learning import Learner
from admin_console.words import OWN_FLAGS
from amon.runtime.fleet import Site
from amon.testing import FakeClock
from tests.admin_console.ground import OPS, Ground
from tests.admin_console.programs import in_pipe

ANSWERS = {
    "complete": "service\nuptime\nhelp",
    'complete "service "': "restart\nlist",
    'complete "service restart "': "httpd\nnginx\n--force",
    'complete "service restart x "': "--force",
    "help service restart": "service restart UNIT [--force]\nDo it.\n  unit: which\n  force\nneeds role operator",
}


class Sites:
    """What they are asked, and what they answer; None where they do not."""

    def __init__(self, answers: dict[str, str] = ANSWERS) -> None:
        self.asked: list[tuple[str, str]] = []
        self.answers = answers
        self.gate = asyncio.Event()
        self.gate.set()

    async def ask(self, site: Site, line: str) -> str | None:
        self.asked.append((site.name, line))
        await self.gate.wait()
        return self.answers.get(line)


def site(name: str, mark: str = "m1", online: bool = True) -> Site:
    return Site(name, f"{name}@x", online, mark=mark)


def learner(sites: Sites, folder: Path, clock: FakeClock | None = None) -> Learner:
    return Learner(sites.ask, clock or FakeClock(), Cache(folder / "fleet.json"), "ops")


async def test_one_site_of_each_kind_is_asked_and_once(tmp_path: Path) -> None:
    sites = Sites()
    known = learner(sites, tmp_path)
    fleet = [site("fnal"), site("cern"), site("ral", "m2"), site("away", "m3", online=False), site("old", "")]
    for _ in range(3):
        assert await known.words(fleet, []) == ["service", "uptime", "help"]
    assert sites.asked == [("cern", "complete"), ("ral", "complete")]
    assert await known.words([site("fnal")], ["service", "restart"]) == ["httpd", "nginx", "--force", "--unit"]
    assert "--unit" in await known.words([site("fnal")], ["service", "restart", "my-secret"])
    assert not any("secret" in line for _, line in sites.asked)


async def test_an_answer_that_may_have_grown_old_is_shown_and_asked_for_again(tmp_path: Path) -> None:
    clock, sites = FakeClock(), Sites(dict(ANSWERS))
    known = learner(sites, tmp_path, clock)
    await known.words([site("cern")], [])
    sites.answers["complete"] = "service\nprobe"
    clock.advance(299)
    assert "probe" not in await known.words([site("cern")], [])
    clock.advance(2)
    assert await known.words([site("cern")], []) == ["service", "uptime", "help"], "nobody waits for what is known"
    await settled(known)
    assert await known.words([site("cern")], []) == ["service", "probe"]
    assert [line for _, line in sites.asked] == ["complete"] * 2


async def test_a_site_that_does_not_answer_is_left_alone_for_a_minute(tmp_path: Path) -> None:
    clock, sites = FakeClock(), Sites({})
    known = learner(sites, tmp_path, clock)
    for _ in range(5):
        assert await known.words([site("cern")], []) == []
    assert len(sites.asked) == 1
    clock.advance(61)
    await known.words([site("cern")], [])
    assert len(sites.asked) == 2


async def test_several_that_want_to_know_the_same_ask_once_and_who_gives_up_stops_nothing(tmp_path: Path) -> None:
    sites = Sites()
    sites.gate.clear()
    known = learner(sites, tmp_path)
    asking = [asyncio.create_task(known.words([site("cern")], [])) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking[0].cancel()
    sites.gate.set()
    async with asyncio.timeout(5):
        assert await asking[1] == await asking[2] == ["service", "uptime", "help"]
    assert len(sites.asked) == 1


async def test_a_manual_is_asked_for_only_of_what_sites_have(tmp_path: Path) -> None:
    sites = Sites()
    known = learner(sites, tmp_path)
    assert await known.page([site("cern")], ["hunter2", "restart"]) is None
    assert await known.page([site("cern")], ["service", "hunter2"]) is None
    found = await known.page([site("cern")], ["service", "restart", "httpd"])
    assert found is not None
    assert found.params == ("unit", "force")
    assert known.known_page([site("fnal")], ["service", "restart"]) == found
    assert known.known_page([site("ral", "m2")], ["service", "restart"]) is None
    assert [line for _, line in sites.asked] == [
        "complete", 'complete "service "', "help service", "help service restart"
    ]  # fmt: skip


async def test_what_was_learnt_is_there_the_next_time_and_for_a_shell(tmp_path: Path) -> None:
    sites = Sites()
    first = learner(sites, tmp_path)
    await first.all_names([site("cern")])
    await first.words([site("cern")], ["service", "restart"])
    await first.close()
    Cache(tmp_path / "fleet.json").remember("ops", {"cern": "m1"}, {})
    again = learner(Sites({}), tmp_path)
    assert await again.words([site("fnal")], []) == ["service", "uptime", "help"]
    kinds = Cache(tmp_path / "fleet.json").all_learnt()
    assert commands([], "", kinds) == ["service", "uptime", "help", *OWN_FLAGS]
    assert commands(["service", "restart"], "n", kinds) == ["nginx"]
    assert commands(["service", "restart"], "--f", kinds) == ["--force"]
    await again.close()


async def test_what_a_broadcast_of_help_brings_is_kept_and_nothing_that_was_typed(ground: Ground) -> None:
    await ground.site("cern")
    config = str(ground.console().config)
    for words in (("complete",), ("complete", "odd "), ("help", "odd", "keep"), ("complete", "odd hunter2 "),
                  ("complete", "odd keep hunter2 "), ("help", "hunter2"), ("odd", "echo", "help hunter2")):  # fmt: skip
        async with in_pipe("--config", config, "run", "all", *words, folder=ground.folder) as program:
            await program.ended()
    cache = Cache(ground.folder / "amon" / "fleet.json")
    (kind,) = cache.learnt(OPS).values()
    assert commands(["odd"], "ec", [kind]) == ["echo"]
    assert commands(["odd", "keep"], "--w", [kind]) == ["--words"]
    assert "hunter2" not in (ground.folder / "amon" / "fleet.json").read_text()


def test_no_shell_is_proposed_a_word_that_means_something_to_it() -> None:
    kind = Kind()
    kind.heard_words("", "service\n$(touch pwned)\n`touch pwned`\n;x\n*\na b\n~root\n!x\n{a,b}\n#x")
    kind.heard_page("service", "service UNIT\nIt.\n  unit: x\nneeds role observer")
    assert commands([], "", [kind]) == ["service", *OWN_FLAGS]
    assert commands([], "$", [kind]) == []


async def settled(known: Learner) -> None:
    async with asyncio.timeout(5):
        while known.busy:  # noqa: ASYNC110 what it asks by itself tells nobody of its end
            await asyncio.sleep(0)
