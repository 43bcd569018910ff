"""One word and a level for everything that can be seen, checked, wished and under way."""

import pytest

from amon.health import Level
from modules.service import Check, Restart, Service
from modules.service.counter import Count, Result
from modules.service.judge import Facts, judge, needs_restart, under_way
from modules.service.limiter import History
from modules.service.states import Condition, Operation, Seen, Wish

PLAIN = Service(driver="process", argv=("/bin/true",))
CHECKED = Service(
    driver="process",
    argv=("/bin/true",),
    check=Check(tcp="127.0.0.1:80", failures=3),
    restart=Restart(automatic=True),
)
UP, DOWN, FAILED = Seen(Condition.UP), Seen(Condition.DOWN), Seen(Condition.FAILED, text="exit status 3")
BAD = Count(failures=3, text="connection refused")
GOOD = Count(passed=True)


@pytest.mark.parametrize(
    ("service", "facts", "level", "state"),
    [
        (PLAIN, Facts(UP), Level.ok, "up"),
        (PLAIN, Facts(DOWN), Level.critical, "down"),
        (PLAIN, Facts(FAILED), Level.critical, "failed"),
        (PLAIN, Facts(Seen(Condition.UNKNOWN)), Level.unknown, "unknown"),
        (PLAIN, Facts(Seen(Condition.STARTING)), Level.warning, "starting"),
        (PLAIN, Facts(DOWN, wish=Wish(False, "alice")), Level.warning, "down"),
        (PLAIN, Facts(FAILED, history=History(given_up=True)), Level.critical, "given-up"),
        (PLAIN, Facts(UP, history=History(given_up=True)), Level.warning, "up"),
        (PLAIN, Facts(FAILED, operation=Operation("restart", "alice", 0)), Level.warning, "starting"),
        (PLAIN, Facts(UP, operation=Operation("stop", "alice", 0)), Level.warning, "stopping"),
        (CHECKED, Facts(UP), Level.warning, "starting"),
        (CHECKED, Facts(UP, count=GOOD), Level.ok, "up"),
        (CHECKED, Facts(UP, count=Count(passed=True, failures=2)), Level.ok, "up"),
        (CHECKED, Facts(UP, count=BAD), Level.critical, "unhealthy"),
        (CHECKED, Facts(UP, count=BAD, history=History(given_up=True)), Level.critical, "given-up"),
    ],
)
def test_says(service: Service, facts: Facts, level: Level, state: str) -> None:
    health = judge(service, facts)
    assert (health.level, health.state) == (level, state)


def test_running_is_not_healthy_while_the_check_fails() -> None:
    assert judge(CHECKED, Facts(UP, count=BAD)).text == "unhealthy: connection refused"


def test_a_service_that_was_stopped_names_who_did_it() -> None:
    health = judge(PLAIN, Facts(DOWN, wish=Wish(False, "alice@example.org", 700)))
    assert (health.text, health.since) == ("stopped by alice@example.org", 700)


def test_giving_up_says_what_helps() -> None:
    text = judge(CHECKED, Facts(FAILED, history=History(given_up=True))).text
    assert text == "given up after 3 restarts, needs start or restart: failed: exit status 3"


def test_a_refusal_says_who_does_what_since_when() -> None:
    assert under_way(Operation("restart", "alice", 100), 103) == "being restarted by alice since 3 s"


@pytest.mark.parametrize(
    ("facts", "needed"),
    [
        (Facts(DOWN), True),
        (Facts(FAILED), True),
        (Facts(UP, count=BAD), True),
        (Facts(UP, count=GOOD), False),
        (Facts(Seen(Condition.UNKNOWN)), False),
        (Facts(Seen(Condition.STARTING)), False),
        (Facts(DOWN, wish=Wish(False, "alice")), False),
        (Facts(Seen(Condition.DOWN, on_purpose=True)), False),
        (Facts(DOWN, operation=Operation("start", "alice", 0)), False),
    ],
)
def test_restarts_what_fell_but_never_what_somebody_stopped(facts: Facts, needed: bool) -> None:
    assert needs_restart(CHECKED, facts) is needed
    assert not needs_restart(PLAIN, facts)


def test_failures_count_in_a_row_and_one_success_clears() -> None:
    count = Count()
    for good in (False, False, True, False, False):
        count = count.after(Result(good, "said"))
        assert not count.failing(3)
    assert count.after(Result(False, "said")).failing(3)
