"""How often one may: so many in a while, each on his own, in bounded memory."""

from amon.access import Quota


def test_each_has_his_own_and_gets_it_again_after_the_period() -> None:
    quota = Quota(2, 60.0)
    assert [quota.take("alice", now) for now in (0.0, 1.0, 2.0, 59.9)] == [2, 1, 0, 0]
    assert quota.take("bob", 2.0) == 2
    assert quota.take("alice", 60.0) == 2


def test_a_crowd_is_not_remembered_and_gets_nothing_until_others_are_forgotten() -> None:
    quota = Quota(1, 60.0, known=3)
    assert [quota.take(str(n), 0.0) for n in range(5)] == [1, 1, 1, 0, 0]
    assert len(quota) == 3
    assert quota.take("late", 60.0) == 1
    assert len(quota) == 1
