"""Whose network an address is in: against a slow reference, and with junk in the table."""

import ipaddress
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.probe import asn
from modules.probe.asn import TableFile, read_table

TABLE = b"""# prefix  AS  name
192.0.2.0/24\t64500\tEXAMPLE-NET Example Inc.
192.0.2.128/25\t64501
198.51.100.0\t24\t64502_64503
203.0.113.0 24 {64504,64505}
2001:db8::/32 AS64506 SIX
2001:db8:1::\t48\t64507
64501 HALF
AS64502\tCAIDA-STYLE
"""


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("192.0.2.1", (64500, "EXAMPLE-NET Example Inc.")),
        ("192.0.2.127", (64500, "EXAMPLE-NET Example Inc.")),
        ("192.0.2.128", (64501, "HALF")),
        ("192.0.2.255", (64501, "HALF")),
        ("192.0.3.0", (0, "")),
        ("192.0.1.255", (0, "")),
        ("198.51.100.7", (64502, "CAIDA-STYLE")),
        ("203.0.113.9", (64504, "")),
        ("2001:db8::1", (64506, "SIX")),
        ("2001:db8:1::1", (64507, "")),
        ("2001:db8:2::", (64506, "SIX")),
        ("2001:db9::", (0, "")),
        ("fe80::1%eth0", (0, "")),
        ("", (0, "")),
        ("no address", (0, "")),
    ],
)
def test_the_longest_prefix_counts(address: str, found: tuple[int, str]) -> None:
    table = read_table(TABLE.splitlines())
    assert table.of(address) == found
    assert (table.prefixes, table.junk) == (6, 0)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"192.0.2.0/33\t64500", "has a length of 33"),
        (b"192.0.2.1/24\t64500", "has bits set behind its length of 24"),
        (b"192.0.2.0/24", "has no AS number"),
        (b"192.0.2.0\t24", "has no length or no AS number"),
        (b"192.0.2.0/24\t0", "0 is no AS number"),
        (b"192.0.2.0/24\t4294967296", "4294967296 is no AS number"),
        (b"192.0.2.0/24\tfoo", "is no entry: 192.0.2.0/24"),
        (b"300.0.2.0/24\t64500", "is no entry: 300.0.2.0/24"),
        (b"2001:db8::/129\t64500", "has a length of 129"),
        (b"64500", "has no name"),
        (b"<html>\x1b[2J", "is no entry: <html>"),
        (b"\xff\xfe\x00", "is no entry"),
        (b"192.0.2.0/24\t64500 " + b"x" * 2000, "is longer than 1024 bytes"),
    ],
)
def test_a_junk_line_is_reported_with_its_number_and_the_others_are_taken(line: bytes, why: str) -> None:
    table = read_table([b"10.0.0.0/8\t1", line, b"11.0.0.0/8\t2"], "table.tsv")
    assert [(one.path, one.text[: len(why)]) for one in table.problems] == [("table.tsv:2", why)]
    assert all(one.text.isprintable() for one in table.problems)
    assert (table.of("10.1.1.1"), table.of("11.1.1.1")) == ((1, ""), (2, ""))


def test_of_much_junk_the_first_hundred_lines_are_told_and_all_counted() -> None:
    table = read_table([b"junk\n"] * 5000)
    assert (len(table.problems), table.junk) == (100, 5000)


def test_more_prefixes_than_the_limit_are_not_taken() -> None:
    lines = (b"10.0.%d.%d/32 64500" % (one >> 8, one & 255) for one in range(50))
    table = read_table(lines, most=40)
    assert (table.prefixes, table.junk) == (40, 10)


PREFIXES = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32), st.integers(1, 9)), max_size=30)


@given(PREFIXES, st.lists(st.integers(0, 2**32 - 1), max_size=20), st.booleans())
def test_it_finds_what_a_slow_search_finds(rows: list[tuple[int, int, int]], asked: list[int], six: bool) -> None:
    networks: dict[ipaddress.IPv4Network | ipaddress.IPv6Network, int] = {}
    for start, length, owner in rows:
        bare = start >> (32 - length) << (32 - length)
        # Like bits at the same places of both families, so that one strategy nests them in both.
        network = ipaddress.ip_network((bare << 96, length)) if six else ipaddress.ip_network((bare, length))
        networks[network] = min(owner, networks.get(network, owner))
    lines = [f"{network} {owner}".encode() for network, owner in networks.items()]
    table = read_table(lines)
    for number in [*asked, *(start for start, _, _ in rows)]:
        address = ipaddress.ip_address(number << 96) if six else ipaddress.ip_address(number)
        around = [one for one in networks if address in one]
        expected = networks[max(around, key=lambda one: one.prefixlen)] if around else 0
        assert table.of(str(address))[0] == expected


@given(st.binary(max_size=200))
def test_any_file_is_read(data: bytes) -> None:
    table = read_table(data.splitlines())
    assert table.prefixes + table.junk <= len(data.splitlines()) + 1


def test_of_the_same_prefix_twice_the_lower_number_counts() -> None:
    assert read_table([b"10.0.0.0/8 7", b"10.0.0.0/8 3"]).of("10.0.0.1")[0] == 3


async def test_a_table_file_is_read_when_it_is_needed_and_again_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_bytes(b"10.0.0.0/8 1 ONE\n")
    table = TableFile(path)
    assert table.of("10.0.0.1") == (0, "")
    await table.ready()
    assert table.of("10.0.0.1") == (1, "ONE")
    path.write_bytes(b"10.0.0.0/8 2 TWO\nx\n")
    os.utime(path, (1, 1))
    await table.ready()
    assert (table.of("10.0.0.1"), table.prefixes) == ((2, "TWO"), 1)
    assert [str(one) for one in table.problems] == [f"{path}:2: is no entry: x"]


async def test_a_table_that_is_not_there_knows_nobody_and_says_why(tmp_path: Path) -> None:
    table = TableFile(tmp_path / "none.tsv")
    await table.ready()
    assert table.of("10.0.0.1") == (0, "")
    assert table.problems[0].text == "No such file or directory"


async def test_an_endless_line_is_one_line_of_junk(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_bytes(b"10.0.0.0/8 1\n" + b"x" * 300_000 + b"\n11.0.0.0/8 2\n" + b"y" * 5000)
    table = TableFile(path)
    await table.ready()
    assert [one.path.rpartition(":")[2] for one in table.problems] == ["2", "4"]
    assert table.of("11.0.0.1") == (2, "")


async def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_bytes(b"10.0.0.0/8 1 ONE\n" * 100)
    table = TableFile(path, most=100)
    await table.ready()
    assert table.of("10.0.0.1") == (0, "")
    assert "is larger than 100 bytes" in table.problems[0].text


def test_a_hundred_thousand_prefixes_take_a_few_bytes_each() -> None:
    lines = (b"%d.%d.%d.0/24 %d" % (10 + (one >> 16), one >> 8 & 255, one & 255, one + 1) for one in range(100_000))
    table = read_table(lines)
    starts, owners = table._four
    assert table.prefixes == 100_000
    assert len(starts) <= 100_002
    assert starts.itemsize + owners.itemsize <= 16
    assert asn.PREFIXES_MOST >= 1_000_000
