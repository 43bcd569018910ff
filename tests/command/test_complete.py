"""What may come next in a line that is being typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.command.complete import complete
from tests.command.offers import OFFERED


def candidates(instance: str, method: str) -> list[str]:
    return ["httpd", "nginx", f"{instance}-{method}"]


def after(line: str) -> list[str]:
    return complete(line, OFFERED, candidates)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", ["help", "inside", "service", "status", "uplink", "uptime"]),
        ("u", ["uplink", "uptime"]),
        ("service ", ["kill", "list", "restart", "status"]),
        ("service re", ["restart"]),
        ("service restart ", ["httpd", "nginx", "service-units"]),
        ("restart h", ["httpd"]),
        ("service restart httpd n", ["nginx"]),
        ("service kill httpd K", ["KILL"]),
        ("service kill httpd ", ["--force-it", "--gently", "KILL", "TERM"]),
        ("service kill --signal ", ["KILL", "TERM"]),
        ("service kill --signal KILL ht", ["httpd"]),
        ("service kill httpd --force-it --", ["--gently"]),
        ("uplink ping cern 3 ", []),
        ("uptime ", ["uptime"]),
        ("quux ", []),
        ('service "', []),
    ],
)
def test_the_words_that_fit_are_offered(line: str, words: list[str]) -> None:
    assert after(line) == words


def test_only_what_is_offered_to_this_asker_is_offered() -> None:
    assert complete("service ", {"service": {"list": OFFERED["service"]["list"]}}, candidates) == ["list"]


@given(st.text(max_size=100))
def test_any_beginning_can_be_completed(line: str) -> None:
    assert all(isinstance(word, str) for word in after(line))
