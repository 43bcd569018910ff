"""Targets for forms that strangers fill in: the request on the wire, and the line that is made of it."""

from amon.command import Ask, Grammar
from amon.errors import Invalid
from amon.runtime.formfields import UNCHOSEN, entries_of, faults, line_of, merged
from amon.text import normal_line
from amon.xmpp.commands import ACTIONS, Entry, Fault, Stage, answer, is_about_commands, read
from amon.xmpp.markup import serialise
from tests.command.offers import OFFERED
from tests.fuzz.target import Target, must, text_of
from tests.fuzz.wires import ME, OPEN, Heard

ALICE = "alice@amon.test"
_KILL = OFFERED["service"]["kill"]
_RESTART = OFFERED["service"]["restart"]


def commands(data: bytes) -> None:
    """A request about commands: bounded, and what is answered can be written."""
    for one in Heard().feed(OPEN, b"<iq type='set' id='1' from='alice@amon.test/d'>", data, b"</iq>").stanzas:
        if not is_about_commands(one):
            continue
        asked = read(one, ALICE, f"{ALICE}/d")
        values = asked.values or {}
        must(asked.action in ACTIONS, "an action is one of the standard's")
        must(len(values) <= 100 and sum(map(len, values.values())) <= 10_000, "a form is bounded")
        must("" not in values, "a field without a name is none")
        entries = tuple(Entry(name, "list-single", name, "".join(given)) for name, given in values.items())
        stage = Stage(asked.node, asked.session, "executing", ("error", asked.node), asked.node, "", entries, ("next",))
        serialise(answer(asked, stage, ME))
        serialise(answer(asked, Fault("bad-request", asked.fault or asked.node), ME))


def filled(data: bytes) -> None:
    """A filled form is a line of the same command with no more said than was filled in, or it is refused."""
    texts = text_of(data).split("\0")
    names = ("name", "signal", "after", "force_it", "gently", "token")
    given = merged(_KILL, {}, {name: (text,) for name, text in zip(names, texts, strict=False)})
    wrong = faults(_KILL, given)
    entries_of(_KILL, given, lambda param: ("a", "b"), wrong)
    ask = _read(line_of("service", _KILL, given))
    if ask is not None:
        must(not wrong, "what was read has no fault")
        must(ask.command == _KILL and not ask.dry_run, "a value is no option")
        for name, default in (("signal", "TERM"), ("after", 10), ("token", "hush")):
            said = given.get(name, ("",))[0].strip() not in ("", UNCHOSEN[0])
            must(said or ask.args[name] == default, "what was not filled in is not said")
        must(ask.args["name"] == normal_line(given["name"][0]), "a value is that value")
    several = _read(line_of("service", _RESTART, {"names": tuple(texts)}))
    must(several is None or several.command == _RESTART, "a list stays with its command")


def _read(line: str) -> Ask | None:
    try:
        return Grammar(OFFERED).read(normal_line(line))
    except Invalid:
        return None


_XML = (
    "<command xmlns='http://jabber.org/protocol/commands' node='x'", " action='next'", " sessionid='s'", ">", "/>",
    "</command>", "<x xmlns='jabber:x:data' type='submit'>", "</x>", "<field var='", "'>", "<value>", "</value>",
    "</field>", "<query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'/>",
)  # fmt: skip
_VALUES = (
    "\0", '"', "'", "\\", "--force-it", "token=", "name=", "KILL", "5 min", "true", "“", "”", "–", ",", "\n", "(none)",
)  # fmt: skip

TARGETS = (
    Target("commands", commands, _XML, 40),
    Target("filled", filled, _VALUES, 30),
)
