"""The book of slots: two jobs together never hold more than there are, and whoever dies gives back."""

from admin_console.hub.slots import LEASE, SlotBook
from amon.ids import new_id
from amon.wire import SlotLease, SlotWish

ALICE, BOB = "alice@example.org", "bob@example.org"
A, B = new_id(1.0), new_id(2.0)


def wished(
    book: SlotBook, who: str, ident: str, held: str = "", wants: str = "", now: float = 0.0, of: int = 2
) -> dict[str, SlotLease]:
    """The leases told because of it, by whom they are told to."""
    wish = SlotWish(ident, "db", of, tuple(held.split()), tuple(wants.split()))
    return {to.partition("@")[0]: lease for to, lease in book.wish(who, f"{who}/amon-1", wish, now)}


def test_one_job_gets_as_many_as_there_are_and_the_next_when_one_is_given_back() -> None:
    book = SlotBook()
    assert wished(book, ALICE, A, wants="cern desy ral")["alice"].sites == ("cern", "desy")
    assert wished(book, ALICE, A, held="cern desy", wants="ral")["alice"].sites == ("cern", "desy")
    assert wished(book, ALICE, A, held="desy", wants="ral")["alice"].sites == ("desy", "ral")


def test_two_admins_together_never_hold_more_than_there_are() -> None:
    book = SlotBook()
    wished(book, ALICE, A, wants="cern desy")
    lease = wished(book, BOB, B, wants="ral fnal")["bob"]
    assert lease.sites == ()
    told = wished(book, ALICE, A, held="desy")
    assert told["bob"].sites == ("ral",)
    assert told["alice"].sites == ("desy",)


def test_who_has_least_is_served_first_so_nobody_starves_behind_a_long_job() -> None:
    book = SlotBook()
    wished(book, ALICE, A, wants="cern desy ral")
    wished(book, BOB, B, wants="fnal bnl", now=1)
    told = wished(book, ALICE, A, held="desy", wants="ral", now=2)
    assert told["alice"].sites == ("desy",)
    assert told["bob"].sites == ("fnal",)


def test_where_two_name_different_numbers_the_smaller_counts() -> None:
    book = SlotBook()
    wished(book, ALICE, A, wants="cern desy ral", of=3)
    assert wished(book, BOB, B, wants="fnal", of=2)["bob"].sites == ()
    assert wished(book, ALICE, A, held="ral", of=3)["bob"].sites == ("fnal",)


def test_the_leases_of_a_console_that_died_end_and_others_get_them() -> None:
    book = SlotBook()
    wished(book, ALICE, A, wants="cern desy")
    wished(book, BOB, B, wants="ral", now=LEASE - 1)
    assert book.expire(LEASE - 0.1) == []
    assert [(to, lease.sites) for to, lease in book.expire(LEASE)] == [(f"{BOB}/amon-1", ("ral",))]


def test_a_wish_said_twice_or_crossing_its_lease_changes_nothing() -> None:
    book = SlotBook()
    for _ in range(3):
        assert wished(book, ALICE, A, wants="cern")["alice"].sites == ("cern",)
    assert wished(book, BOB, B, wants="ral fnal")["bob"].sites == ("ral",)


def test_what_a_site_is_at_work_with_counts_even_where_the_hub_forgot_it() -> None:
    book = SlotBook()
    wished(book, BOB, B, wants="ral fnal")
    assert wished(book, ALICE, A, held="cern desy", wants="bnl")["alice"].sites == ("cern", "desy")
    assert wished(book, BOB, B, held="ral", wants="bnl")["bob"].sites == ("ral",)
    assert wished(book, ALICE, A, held="cern", wants="bnl")["alice"].sites == ("cern",)


def test_a_book_that_was_kept_over_a_restart_lends_nothing_twice() -> None:
    before, book = SlotBook(), SlotBook()
    wished(before, ALICE, A, wants="cern desy")
    book.recall([*before.data(), {"asker": 1}, None, {"held": 3}])
    assert wished(book, BOB, B, wants="ral", now=1)["bob"].sites == ()
    assert len(book.expire(LEASE)) == 1


def test_nobody_may_fill_the_book() -> None:
    book = SlotBook()
    for number in range(20):
        wished(book, ALICE, new_id(number), wants="cern")
    assert "ask again" in wished(book, ALICE, new_id(99), wants="cern")["alice"].refused
    for number in range(180):
        wished(book, f"u{number}@example.org", new_id(number), wants="cern")
    assert "jobs hold or want" in wished(book, BOB, B, wants="cern")["bob"].refused


def test_who_has_given_all_back_takes_no_place() -> None:
    book = SlotBook()
    for number in range(500):
        ident = new_id(number)
        assert wished(book, ALICE, ident, wants="cern")["alice"].sites == ("cern",)
        wished(book, ALICE, ident)
    assert book.lines() == []
