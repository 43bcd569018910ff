"""Syntax errors in the words of somebody who writes a file: line, column, the line, and never a secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.config import parse
from amon.errors import Problem


def said(text: str) -> str:
    problem = parse(text)
    assert isinstance(problem, Problem)
    return str(problem)


BROKEN = [
    ("a = 1\nb = hello\n", 'line 2, column 5: text is written in quotes, like "this"\n  b = hello\n      ^'),
    ("b = yes\n", "line 1, column 5: yes and no are written `true` and `false` here\n  b = yes\n      ^"),
    ("b = True\n", "line 1, column 5: yes and no are written `true` and `false` here\n  b = True\n      ^"),
    ("b =\n", "line 1, column 4: the value is missing\n  b =\n     ^"),
    ("b = # later\n", "line 1, column 5: the value is missing\n  b = # later\n      ^"),
    ('b = "x\n', 'line 1, column 7: this text is not closed: its quote is missing on this line\n  b = "x\n        ^'),
    ('b = "x', 'line 1, column 7: this text is not closed: its quote is missing\n  b = "x\n        ^'),
    ("b\n", "line 1, column 2: a key stands here without `= value`\n  b\n   ^"),
    ("b: 1\n", "line 1, column 2: a key stands here without `= value`\n  b: 1\n   ^"),
    ("every = 5 min\n", 'line 1, column 11: a number with a unit is written in quotes, like "5 min"'
                        "\n  every = 5 min\n            ^"),
    ("a = [1, 2\nb = 3\n", "line 2, column 1: this list is not closed: `]` is missing\n  b = 3\n  ^"),
    ("a = { x = 1\n", "line 1, column 12: `}` is missing: a table within one line is closed on that line"
                      "\n  a = { x = 1\n             ^"),
    ("[account\n", "line 1, column 9: the name of a table is not closed: `]` is missing\n  [account\n          ^"),
    ("a = 1\na = 2\n", "line 2, column 6: this is given twice; leave one of the two\n  a = 2\n       ^"),
    ("[a]\n[a]\n", "line 2, column 3: this is given twice; leave one of the two\n  [a]\n    ^"),
    ('a = 1 b = 2\n', "line 1, column 7: something more stands behind the value\n  a = 1 b = 2\n        ^"),
    ('a = "C:\\d"\n', 'line 1, column 10: a backslash in a text is written twice, or the text in single quotes'
                      '\n  a = "C:\\d"\n           ^'),
    ("= 1\n", "line 1, column 1: a key begins with a letter or a digit, or is in quotes\n  = 1\n  ^"),
    ("a = { x = 1, x = 2 }\n", "line 1, column 19: this key is given twice\n  a = { x = 1, x = 2 }"
                               "\n                    ^"),
    ("a = { x = 1 }\n[a.b]\n", "line 2, column 5: this is given twice; leave one of the two\n  [a.b]\n      ^"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_a_broken_file_is_answered_with_the_place_and_what_to_write(text: str, message: str) -> None:
    assert said(text) == message


@pytest.mark.parametrize(
    "text",
    [
        'password = "hush hush\n', "password = hush\n", "password: hush\n", 'account.main.password = "hush\n',
        'a = { jid = "x", password = "hush\n', "proxy = http://me:hush@p\n", "api-token = hush\n",
        "'password' = hush\n",
        'x = """\nfirst\nhush\x00\n"""\n', "password = hush #\n", "PASSWORD=hush\n",
    ],
)  # fmt: skip
def test_no_message_shows_a_secret(text: str) -> None:
    assert "hush" not in said(text)


def test_a_byte_order_mark_and_windows_line_ends_are_no_error() -> None:
    assert parse("\ufeffa = 1\r\nb = 2\r\n") == {"a": 1, "b": 2}


def test_nesting_without_end_is_an_error_and_no_crash() -> None:
    assert "too deep" in said("a = " + "[" * 100_000)


@given(st.text(alphabet=st.sampled_from("a=[]{}\"'#.\n\\1 \x00é,:-") | st.characters(), max_size=60))
def test_no_text_is_a_bug(text: str) -> None:
    found = parse(text)
    assert isinstance(found, dict | Problem)
