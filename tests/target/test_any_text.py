"""No text hangs or breaks the target language, and what it writes it can read."""

import re
import time
from fnmatch import translate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.errors import Invalid
from amon.target import (
    All,
    And,
    Expression,
    Facts,
    HasModule,
    InHealth,
    Name,
    Not,
    Or,
    PartState,
    Tagged,
    matches_glob,
    parse,
)
from amon.target.jobs import OfJob, with_jobs

WORDS = st.text(alphabet="abz019-_.*?", min_size=1, max_size=8).map(lambda text: re.sub(r"\*+", "*", text))
PLAIN = st.text(alphabet="abz019-_.", min_size=1, max_size=8)
TERMS: st.SearchStrategy[Expression] = st.one_of(
    st.just(All()),
    st.builds(Name, WORDS.filter(lambda word: word not in ("all", "and", "or", "not"))),
    st.builds(Tagged, PLAIN, st.none() | WORDS),
    st.builds(InHealth, st.sampled_from(["ok", "warn", "crit", "unknown", "maint"])),
    st.builds(HasModule, WORDS),
    st.builds(PartState, st.sampled_from(["service", "host", "disk-2"]), WORDS, PLAIN),
)
TREES: st.SearchStrategy[Expression] = st.recursive(
    TERMS,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(lambda a, b: And((a, b)), inner, inner),
        st.builds(lambda a, b: Or((a, b)), inner, inner),
    ),
    max_leaves=12,
)
FACTS = st.builds(
    Facts,
    PLAIN,
    st.dictionaries(PLAIN, PLAIN, max_size=3),
    st.sampled_from([None, "ok", "warn", "crit", "nonsense"]),
    st.dictionaries(PLAIN, PLAIN, max_size=2),
    st.frozensets(PLAIN | st.just("service"), max_size=3),
    st.none() | st.dictionaries(PLAIN, PLAIN, max_size=2),
    st.booleans(),
)
PIECES = ["all", "and", "or", "not", "(", ")", ",", " ", "a*", "tag:", "tag:b", "=", "health:ok", ":", "service:x=up"]
SOUP = st.lists(st.sampled_from(PIECES), max_size=60).map("".join) | st.just("İİİ:x")


@given(TREES, FACTS)
def test_what_is_written_reads_back_with_the_same_meaning(tree: Expression, facts: Facts) -> None:
    again = parse(str(tree))
    assert again.matches(facts) == tree.matches(facts)
    assert str(parse(str(again))) == str(again)
    assert again.names() == tree.names()


@given(st.text(max_size=200) | SOUP, FACTS)
def test_any_text_is_read_or_refused_at_a_place_in_it(text: str, facts: Facts) -> None:
    start, end = 0, len(text)
    try:
        parse(text).matches(facts)
    except Invalid as refusal:
        start, end = refusal.start, refusal.end
    assert 0 <= start <= end <= len(text)


@given(st.text(alphabet="ab*?", max_size=12), st.text(alphabet="ab", max_size=12))
def test_globs_agree_with_the_shell(pattern: str, text: str) -> None:
    assert matches_glob(pattern, text) == bool(re.match(translate(pattern), text))


@pytest.mark.parametrize(
    "pattern",
    ["*a" * 63 + "*b", "*" + "a" * 126 + "b", "*" * 127 + "b", "?*" * 63 + "?b"],
    ids=["many stars", "one star", "only stars", "both"],
)
def test_patterns_made_to_be_slow_are_not(pattern: str) -> None:
    began = time.perf_counter()
    assert not matches_glob(pattern, "a" * 1023)
    assert time.perf_counter() - began < 0.5


STATES = st.lists(st.sampled_from(["failed", "lost", "not-here", "done"]), max_size=3, unique=True).map(tuple)
JOBS: st.SearchStrategy[Expression] = st.builds(
    OfJob, st.text("07QZ", min_size=1, max_size=26), STATES, st.just(frozenset({"a", "b"}))
)
JOB_TREES: st.SearchStrategy[Expression] = st.recursive(
    TERMS | JOBS,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(lambda a, b: And((a, b)), inner, inner),
        st.builds(lambda a, b: Or((a, b)), inner, inner),
    ),
    max_leaves=12,
)
JOB_SOUP = st.lists(st.sampled_from([*PIECES, "@job:", "job:", "7Q2K", ":failed", ",lost"]), max_size=60).map("".join)


@given(JOB_TREES, FACTS)
def test_what_names_jobs_reads_back_with_the_same_meaning(tree: Expression, facts: Facts) -> None:
    again = with_jobs(parse(str(tree), jobs=True), lambda term: frozenset({"a", "b"}))
    assert again.matches(facts) == tree.matches(facts)
    assert str(again) == str(parse(str(again), jobs=True))


@given(st.text(max_size=200) | JOB_SOUP)
def test_any_text_is_read_or_refused_where_jobs_are_known_too(text: str) -> None:
    start, end = 0, len(text)
    try:
        parse(text, jobs=True)
    except Invalid as refusal:
        start, end = refusal.start, refusal.end
    assert 0 <= start <= end <= len(text)
