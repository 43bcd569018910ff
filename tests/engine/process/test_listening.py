"""The engine's sockets in the file system: made, never taken from another engine, cleared after one that was killed."""

import os
import socket
import stat
from pathlib import Path

import pytest

from amon.engine.desk.listening import is_listening, listening
from amon.errors import Failed


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def test_one_socket_is_made_for_owner_and_group_and_is_gone_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with listening(path, 1) as (listener,):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert is_listening(path)
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_SEQPACKET
    assert names(tmp_path) == []


def test_several_cores_have_a_socket_each(tmp_path: Path) -> None:
    with listening(tmp_path / "socket", 3) as listeners:
        assert [one.getsockname() for one in listeners] == [str(tmp_path / f"socket.{core}") for core in range(3)]
        assert names(tmp_path) == ["socket.0", "socket.1", "socket.2"]
    assert names(tmp_path) == []


def test_the_group_gets_the_socket(tmp_path: Path) -> None:
    with listening(tmp_path / "socket", 1, os.getegid()):
        assert (tmp_path / "socket").stat().st_gid == os.getegid()


def test_a_living_engine_is_not_pushed_aside(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with listening(path, 2):
        for cores in (1, 2):
            with (
                pytest.raises(Failed, match=r"another engine listens at .*socket\.0; next: stop it"),
                listening(path, cores),
            ):
                pass
        assert names(tmp_path) == ["socket.0", "socket.1"]


def leave(path: Path) -> None:
    """As an engine that was killed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
        dead.bind(str(path))
        dead.listen()


def test_what_a_killed_engine_left_is_cleared_even_with_another_number_of_cores(tmp_path: Path) -> None:
    for name in ("socket", "socket.0", "socket.7"):
        leave(tmp_path / name)
    with listening(tmp_path / "socket", 2):
        assert names(tmp_path) == ["socket.0", "socket.1"]


def test_a_file_in_its_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    path.write_text("mine")
    with pytest.raises(Failed, match="is there and no socket; next: choose another `socket`"), listening(path, 1):
        pass
    assert path.read_text() == "mine"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "none" / "socket"
    with pytest.raises(Failed, match=r"none does not exist; next: RuntimeDirectory= in the unit"), listening(path, 1):
        pass


def test_another_ones_socket_is_not_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with listening(path, 1):
        path.rename(tmp_path / "old")
        leave(path)
    assert names(tmp_path) == ["old", "socket"]


def test_half_of_the_sockets_is_none(tmp_path: Path) -> None:
    (tmp_path / "socket.0").mkdir()
    with pytest.raises(Failed), listening(tmp_path / "socket", 2):
        pass
    assert names(tmp_path) == ["socket.0"]
