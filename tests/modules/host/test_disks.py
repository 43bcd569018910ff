"""Which mounts are looked at, what they are called, and what happens where nobody answers."""

import asyncio
import re
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.target import parse
from modules.host.blocking import Blocking
from modules.host.disks import Silence, ask_all, part_names, worth_a_look
from modules.host.world import Mount, Space
from tests.modules.host.worlds import full


def paths(*mounts: Mount, ignore: tuple[str, ...] = ()) -> list[str]:
    return [mount.path for mount in worth_a_look(mounts, ignore)]


def test_made_up_and_read_only_by_nature_file_systems_are_left_out() -> None:
    kinds = ["proc", "tmpfs", "squashfs", "iso9660", "autofs", "cgroup2", "overlay", "fuse.gvfsd-fuse"]
    made_up = [Mount("none", f"/{kind}", kind) for kind in kinds]
    assert paths(Mount("/dev/sda1", "/", "ext4"), *made_up, Mount("nas:/x", "/mnt", "nfs4")) == ["/", "/mnt"]


def test_a_container_s_own_root_counts() -> None:
    assert paths(Mount("overlay", "/", "overlay"), Mount("overlay", "/other", "overlay")) == ["/"]


def test_what_is_mounted_in_several_places_is_looked_at_once() -> None:
    assert paths(
        Mount("/dev/sda1", "/var/lib/docker/x", "xfs"), Mount("/dev/sda1", "/data", "xfs"),
        Mount("tank", "/tank", "zfs"), Mount("tank/a", "/tank/a", "zfs"),
    ) == ["/data", "/tank", "/tank/a"]  # fmt: skip


def test_what_was_mounted_last_on_a_path_is_what_is_there() -> None:
    assert worth_a_look([Mount("auto", "/home", "autofs"), Mount("nas:/h", "/home", "nfs")], ()) == [
        Mount("nas:/h", "/home", "nfs")
    ]
    assert paths(Mount("nas:/h", "/home", "nfs"), Mount("auto", "/home", "autofs")) == []


def test_what_is_to_be_ignored_is() -> None:
    mounts = [Mount(f"/dev/{n}", path, "ext4") for n, path in enumerate(["/", "/a", "/snap/x/1", "/snap/y/2"])]
    assert paths(*mounts, ignore=("/snap/*", "/a")) == ["/"]


def test_names_of_parts_are_read_as_paths_and_never_alike() -> None:
    assert part_names(["/", "/var/log", "/a b", "/a/b", "/a-b", "/root", "/datä"]) == {
        "/": "disk-root", "/a b": "disk-a_b", "/a-b": "disk-a-b", "/a/b": "disk-a-b-2", "/datä": "disk-datä",
        "/root": "disk-root-2", "/var/log": "disk-var-log",
    }  # fmt: skip


@given(st.lists(st.text(max_size=80).map("/".__add__), max_size=12, unique=True))
def test_every_path_has_a_name_of_its_own_that_stands_in_a_target(found: list[str]) -> None:
    names = part_names(found)
    assert set(names) == set(found)
    assert len(set(names.values())) == len(found)
    for name in names.values():
        assert re.fullmatch(r"[\w.+@:-]{1,60}", name)
        parse(f"service:host/{name}=full")


async def test_all_mounts_are_asked_and_faults_have_their_words() -> None:
    worlds: dict[str, Callable[[], Space]] = {"/": lambda: full(5)}

    def space(path: str) -> Space:
        if path == "/stale":
            raise OSError(116, "Stale file handle")
        if path == "/theirs":
            raise PermissionError
        return worlds[path]()

    mounts = [Mount(path, path, "nfs") for path in ("/", "/stale", "/theirs")]
    assert await ask_all(mounts, space, Blocking(), 5) == {
        "/": full(5), "/stale": Silence("stale file handle"), "/theirs": Silence("we may not look", counts=False),
    }  # fmt: skip


async def test_a_dead_mount_costs_one_thread_however_often_it_is_asked() -> None:
    alive = threading.Event()
    asked: list[str] = []

    def space(path: str) -> Space:
        asked.append(path)
        if path != "/":
            alive.wait(30)
        return full(7)

    blocking = Blocking()
    mounts = [Mount(path, path, "nfs") for path in ("/", "/dead", "/dying")]
    before = threading.active_count()
    for _ in range(5):
        said = await ask_all(mounts, space, blocking, 0.1)
        assert (said["/"], said["/dead"]) == (full(7), Silence("does not answer"))
    assert sorted(asked) == ["/"] * 5 + ["/dead", "/dying"]
    assert blocking.stuck() == 2
    assert threading.active_count() <= before + 2
    alive.set()
    assert (await ask_all(mounts, space, blocking, 5))["/dead"] == full(7)
    assert blocking.stuck() == 0
    assert (await ask_all(mounts, space, blocking, 5))["/dead"] == full(7)


async def test_who_gives_up_waiting_leaves_the_question_to_the_others() -> None:
    alive = threading.Event()
    blocking = Blocking()
    first = asyncio.create_task(blocking.ask("x", lambda: alive.wait(30), 30))
    second = asyncio.create_task(blocking.ask("x", lambda: False, 30))
    await asyncio.sleep(0)
    first.cancel()
    alive.set()
    assert await second is True


def test_an_answer_that_comes_when_the_loop_has_ended_harms_nobody() -> None:
    alive = threading.Event()

    async def ask() -> None:
        with pytest.raises(TimeoutError):
            await Blocking().ask("x", lambda: alive.wait(30), 0.01)

    asyncio.run(ask())
    alive.set()
    for thread in threading.enumerate():
        if thread.name == "ask x":
            thread.join(5)
