"""Maintenance: of the site or an instance, until a given time."""

from amon.health import SITE, Maintenance, Maintenances


def work(scope: str, until: float) -> Maintenance:
    return Maintenance(scope, until, "because", "eva@example.org")


def test_the_site_covers_every_instance_and_an_instance_only_itself() -> None:
    running = Maintenances([work("host", 100)])
    assert running.covering("host", 0) == work("host", 100)
    assert running.covering("service", 0) is None
    running.begin(work(SITE, 200))
    assert running.covering("service", 0) == running.covering("host", 0) == work(SITE, 200)


def test_it_is_over_at_its_end_and_not_before() -> None:
    running = Maintenances([work("host", 100), work(SITE, 50)])
    assert set(running.running(49.9)) == {"host", SITE}
    assert running.next_end(0) == 50
    assert set(running.running(50)) == {"host"}
    assert running.next_end(50) == 100
    assert running.next_end(100) is None
    assert running.covering("host", 100) is None


def test_it_can_be_ended_early_or_said_anew() -> None:
    running = Maintenances([work("host", 100)])
    running.begin(work("host", 300))
    assert running.next_end(200) == 300
    assert running.end("host") == work("host", 300)
    assert running.end("host") is None
    assert running.running(0) == {}
