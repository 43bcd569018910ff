"""A secret shows itself nowhere by accident, and the second fence finds the living ones in a text."""

import copy
import gc
import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from amon.fields import LEAST_HIDDEN, Secret, discreet

HUSH = "correct horse <&> 'battery'\\\x07é"


@dataclass(frozen=True, slots=True)
class Holder:
    name: str
    token: Secret


@pytest.mark.parametrize(
    "shown",
    [repr, str, ascii, "{}".format, "{!r}".format, "{:>40}".format, "%s".__mod__, "%r".__mod__, lambda s: f"{s:x<9}"],
)
def test_no_way_of_writing_a_secret_shows_it(shown: object) -> None:
    assert callable(shown)
    assert shown(Secret(HUSH)) in ("***", "'***'")
    assert "horse" not in repr(Holder("a", Secret(HUSH)))
    assert "horse" not in repr(asdict(Holder("a", Secret(HUSH))))


def test_a_secret_is_neither_pickled_nor_doubled() -> None:
    secret = Secret(HUSH)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not written down"):
            pickle.dumps(secret, protocol)
        with pytest.raises(TypeError, match="not written down"):
            pickle.dumps(Holder("a", secret), protocol)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret


def test_a_secret_tells_neither_its_length_nor_its_characters() -> None:
    secret: Any = Secret(HUSH)
    questions: list[Callable[[Any], object]] = [len, iter, list, bytes]
    for question in questions:
        with pytest.raises(TypeError):
            question(secret)
    assert not hasattr(secret, "__dict__")


def test_secrets_are_equal_by_their_text_whatever_is_in_it() -> None:
    assert Secret("é\ud800") == Secret("é\ud800")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


@pytest.mark.parametrize(
    "quoted",
    [
        HUSH, repr(HUSH), f"{ValueError(HUSH)!r}", HUSH.encode("unicode_escape").decode(),
        '{"a": "correct horse <&> \'battery\'\\\\\\u0007\\u00e9"}', "correct horse &lt;&amp;&gt; 'battery'\\\x07é",
    ],
)  # fmt: skip
def test_a_living_secret_is_taken_out_of_a_text_however_it_is_quoted(quoted: str) -> None:
    secret = Secret(HUSH)
    assert "horse" not in discreet(f"before {quoted} after")
    assert "***" in discreet(quoted)
    del secret
    gc.collect()
    assert discreet(quoted) == quoted, "a secret that is gone is nobody's"


def test_short_secrets_are_taken_out_only_where_they_are_named() -> None:
    short = Secret("a" * (LEAST_HIDDEN - 1))
    assert discreet("banaaaaana") == "banaaaaana"
    assert discreet("banaaaaana", [short]) == "ban***na"
    assert discreet("banana", [Secret("")]) == "banana"


def test_of_two_equal_secrets_one_is_enough_to_hide_the_text() -> None:
    first, second = Secret("hushhush"), Secret("hushhush")
    del first
    assert discreet("say hushhush") == "say ***"
    assert second.reveal() == "hushhush"


def test_of_two_secrets_that_begin_alike_nothing_is_left_over() -> None:
    both = Secret("hushhush"), Secret("hushhush-and-more")
    assert discreet("hushhush-and-more") == "***"
    assert len(both) == 2
