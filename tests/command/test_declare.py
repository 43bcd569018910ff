"""The laws of a declaration: what breaks one does not load, and the error says what to write instead."""

import enum
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from amon.command import BadDeclaration, Call, command, commands_of
from amon.fields import Field, Secret
from amon.words import Asker, Effect, Role

Name = Annotated[str, Field("a name", pattern=r"\w+", longest=8)]


class Speed(enum.Enum):
    slow = "slow"


def mistake(declared: Any) -> str:
    """What is said about a class with this one attribute."""
    with pytest.raises(BadDeclaration) as refusal:
        commands_of(type("Odd", (), {"odd": declared}))
    return str(refusal.value)


def test_a_declaration_becomes_data_once() -> None:
    class Good:
        @command(role="operator", effect="change", timeout=5)
        async def stop_all_(self, call: Call, name: Name, tries: int = 3, hard: bool = False) -> None:
            """Stop it.

            And more about it,
            in lines.
            """

        @stop_all_.plan
        async def _(self, call: Call, name: Name, tries: int = 3, hard: bool = False) -> None: ...

        async def no_command(self) -> None: ...

    made = commands_of(Good)
    assert list(made) == ["stop-all"]
    told = made["stop-all"]
    assert (told.summary, told.manual) == ("Stop it.", "And more about it,\nin lines.")
    assert (told.role, told.effect, told.timeout) == (Role.operator, Effect.change, 5)
    assert [(param.name, param.required, param.flag) for param in told.params] == [
        ("name", True, False), ("tries", False, False), ("hard", False, True),
    ]  # fmt: skip
    assert told.plan is not None


async def test_a_declared_method_can_still_be_called_as_one() -> None:
    class Good:
        @command()
        async def double(self, call: Call, number: int) -> int:
            """Twice as much."""
            return 2 * number

    assert await Good().double(Call("id", Asker("a@x")), 4) == 8
    assert Good.double.__doc__ == "Twice as much."


def test_a_subclass_has_the_commands_of_its_base_and_may_take_one_away() -> None:
    class Base:
        @command()
        async def one(self, call: Call) -> None:
            """One."""

        @command()
        async def two(self, call: Call) -> None:
            """Two."""

    class Derived(Base):
        two = None  # type: ignore[assignment]

    assert sorted(commands_of(Derived)) == ["one"]


def typed(hint: Any) -> Any:
    async def odd(self: object, call: Call, given: Any) -> None:
        """Odd."""

    odd.__annotations__["given"] = hint
    return command()(odd)


@pytest.mark.parametrize(
    "hint",
    [
        str, Annotated[str, Field(longest=4)], Annotated[str, Field(pattern="x")], str | None, Path, Secret,
        Annotated[tuple[str, ...], Field(longest=3)], Annotated[list[str], Field(pattern="x", longest=3)],
        Annotated[list[Annotated[list[str], Field(longest=2)]], Field(longest=2)],
    ],
)  # fmt: skip
def test_text_without_bounds_is_refused_also_inside_a_list(hint: Any) -> None:
    assert "parameter given is text without pattern and longest" in mistake(typed(hint))


@pytest.mark.parametrize("hint", [tuple[Name, ...], list[int]])
def test_a_list_without_a_limit_is_refused(hint: Any) -> None:
    assert "is a list without longest" in mistake(typed(hint))


@pytest.mark.parametrize(
    "hint", [dict[str, int], bytes, object, int | str, tuple[int, int], list, Any, type(None), Callable[[], int]]
)
def test_what_nobody_can_type_is_refused(hint: Any) -> None:
    assert "is of a type that cannot be typed" in mistake(typed(hint))


@pytest.mark.parametrize(
    "hint", [Name, Name | None, int, float, bool, Literal["a", 1], Speed, Annotated[list[Name], Field(longest=2)]]
)
def test_what_has_bounds_is_taken(hint: Any) -> None:
    assert list(commands_of(type("Good", (), {"odd": typed(hint)}))) == ["odd"]


def test_what_nobody_explains_is_refused() -> None:
    async def odd(self: object, call: Call) -> None: ...

    assert "has no docstring" in mistake(command()(odd))


def test_what_is_not_async_is_refused() -> None:
    def odd(self: object, call: Call) -> Any:
        """Odd."""

    assert "must be async" in mistake(command()(odd))


def test_a_parameter_without_a_type_is_refused() -> None:
    async def odd(self: object, call: Call, given) -> None:  # type: ignore[no-untyped-def]
        """Odd."""

    assert "parameter given has no type" in mistake(command()(odd))


def test_a_type_that_does_not_exist_is_refused() -> None:
    assert "a type cannot be found: name 'Nowhere'" in mistake(typed("Nowhere"))


def test_only_plain_parameters_are_taken() -> None:
    async def starred(self: object, call: Call, *given: int) -> None:
        """Odd."""

    async def keyword(self: object, call: Call, *, given: int) -> None:
        """Odd."""

    async def lonely(self: object) -> None:
        """Odd."""

    assert "must be a plain one" in mistake(command()(starred))
    assert "must be a plain one" in mistake(command()(keyword))
    assert "must take self and the call" in mistake(command()(lonely))  # type: ignore[arg-type]


def test_the_name_of_what_every_command_takes_is_taken() -> None:
    async def odd(self: object, call: Call, json: bool) -> None:
        """Odd."""

    assert "bears the name of what every command takes" in mistake(command()(odd))


@pytest.mark.parametrize("effect", ["change", "danger"])
def test_what_changes_something_needs_a_plan(effect: str) -> None:
    async def odd(self: object, call: Call) -> None:
        """Odd."""

    assert f"has effect {effect} but no plan; add @odd.plan" in mistake(command(effect=effect)(odd))


def planned(plan: Any) -> Any:
    async def odd(self: object, call: Call, name: Name, tries: int = 3) -> None:
        """Odd."""

    declared = command(effect="change")(odd)
    declared.plan(plan)
    return declared


def test_a_plan_with_other_parameters_is_refused() -> None:
    async def fewer(self: object, call: Call, name: Name) -> None: ...

    async def other_default(self: object, call: Call, name: Name, tries: int = 4) -> None: ...

    async def other_type(self: object, call: Call, name: Name, tries: float = 3) -> None: ...

    for plan in (fewer, other_default, other_type):
        assert "must take the same parameters" in mistake(planned(plan))


def test_a_plan_that_is_not_async_is_refused() -> None:
    def plan(self: object, call: Call, name: Name, tries: int = 3) -> None: ...

    assert "the plan of Odd.odd must be async" in mistake(planned(plan))


def test_two_commands_that_are_typed_alike_are_refused() -> None:
    class Odd:
        @command()
        async def list(self, call: Call) -> None:
            """List."""

        @command()
        async def list_(self, call: Call) -> None:
            """List."""

    with pytest.raises(BadDeclaration, match="two commands that people would type as 'list'"):
        commands_of(Odd)


def test_a_misspelt_role_or_effect_is_refused_where_it_stands() -> None:
    with pytest.raises(BadDeclaration, match="no role 'operater'; did you mean operator"):
        command(role="operater")
    with pytest.raises(BadDeclaration, match="no effect 'chnge'; did you mean change"):
        command(effect="chnge")


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan")])
def test_a_timeout_that_is_none_is_refused(timeout: float) -> None:
    with pytest.raises(BadDeclaration, match="leaves no time"):
        command(timeout=timeout)


# Sessions


def test_a_generator_is_a_session_and_may_last_an_hour() -> None:
    class Good:
        @command()
        async def follow(self, call: Call, name: Name) -> AsyncIterator[str]:
            """Tell what comes."""
            yield name

        @command(timeout=60)
        async def tick(self, call: Call) -> AsyncIterator[Call]:
            """Tell each minute."""
            yield call

        @command()
        async def once(self, call: Call) -> str:
            """Tell it once."""
            return ""

    made = commands_of(Good)
    assert {name: (one.streams, one.timeout) for name, one in made.items()} == {
        "follow": (True, 3600),
        "tick": (True, 60),
        "once": (False, 30),
    }


def test_a_session_only_reads() -> None:
    @command(role="operator", effect="change")
    async def odd(self: object, call: Call) -> AsyncIterator[str]:
        """Change again and again."""
        yield ""

    assert "a session can only read" in mistake(odd)


def test_a_session_says_what_its_items_are() -> None:
    @command()
    async def unsaid(self, call: Call):  # type: ignore[no-untyped-def]
        """Tell."""
        yield ""

    @command()
    async def odd(self: object, call: Call) -> AsyncIterator[int]:
        """Tell numbers."""
        yield 1

    for one in (unsaid, odd):
        assert "must say what of" in mistake(one)
