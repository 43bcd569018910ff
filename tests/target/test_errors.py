"""A target that is wrong: what is said of it, and at which word the finger points."""

import pytest

from amon.errors import Invalid
from amon.target import DEEPEST, LONGEST, LONGEST_WORD, parse


@pytest.mark.parametrize(
    ("target", "says", "word"),
    [
        ("", "say `all` to mean every site", ""),
        ("   ", "say `all` to mean every site", "   "),
        ("cern fnal", "put `,` or `and` between", "fnal"),
        ("cern,", "missing after `,`", ","),
        (",cern", "missing before `,`", ","),
        ("cern and", "missing after `and`", "and"),
        ("and cern", "missing before `and`", "and"),
        ("cern or or fnal", "missing before `or`", "or"),
        ("not", "missing after `not`", "not"),
        ("()", "missing before `)`", ")"),
        ("(cern", "never closed", "("),
        ("cern)", "never opened", ")"),
        ("cern, tga:tier=1", "did you mean tag?", "tga"),
        ("xmpp:cern", "known are tag:, health:", "xmpp"),
        ("xmpp:cern", "MODULE:PART=STATE", "xmpp"),
        ("servce:httpd=down", "did you mean service?", "servce"),
        ("tags:tier=1", "did you mean tag?", "tags"),
        ("a.b:httpd=down", "known are tag:", "a.b"),
        ("host:=full", "known are tag:", "host"),
        ("tag:", "which tag?", "tag:"),
        ("tag:=1", "which tag?", "=1"),
        ("tag:tier=", "which value?", "tier="),
        ("tag:ti*r=1", "which tag?", "ti*r=1"),
        ("tier=1", "did you mean tag:tier=1?", "tier=1"),
        ("health:critcal", "did you mean critical", "critcal"),
        ("health:purple", "known are ok, warn", "purple"),
        ("health:crit=1", "no level of health", "crit=1"),
        ("service:httpd", "For example service:httpd=down", "httpd"),
        ("service:=down", "For example service:httpd=down", "=down"),
        ("service:httpd=", "For example service:httpd=down", "httpd="),
        ("module:", "which module?", "module:"),
        ("cern; reboot", "is not a site's name", "cern;"),
        ("$(id)", "is not a site's name", "$"),
        ("'cern'", "is not a site's name", "'cern'"),
        ("ce\x07rn", r"'ce\x07rn' is not a site's name", "ce\x07rn"),
        ("ce\u202ern", r"'ce\u202ern' is not a site's name", "ce\u202ern"),
    ],
)
def test_points_at_the_word_it_means(target: str, says: str, word: str) -> None:
    with pytest.raises(Invalid) as refusal:
        parse(target)
    assert says in refusal.value.message
    assert refusal.value.line == target
    assert target[refusal.value.start : refusal.value.end] == word
    assert refusal.value.message.isprintable()


def test_a_target_of_a_megabyte_is_refused_unread() -> None:
    with pytest.raises(Invalid, match=f"at most {LONGEST}"):
        parse("a" * 1_000_000)


def test_a_word_that_no_site_can_be_called_is_refused() -> None:
    parse("a" * LONGEST_WORD)
    with pytest.raises(Invalid, match=f"at most {LONGEST_WORD}"):
        parse("a" * (LONGEST_WORD + 1))


@pytest.mark.parametrize("opening", ["(", "not ", "not("])
def test_nesting_has_a_floor(opening: str) -> None:
    with pytest.raises(Invalid, match=f"more than {DEEPEST}"):
        parse(opening * 1000 + "a")


def test_nesting_up_to_the_floor_is_read() -> None:
    assert str(parse("(" * DEEPEST + "a" + ")" * DEEPEST)) == "a"
    assert str(parse("(a)," * 200 + "a")).startswith("a,a")
