"""Blocking calls that hang: one at a time, and nobody else waits for them."""

import asyncio
import threading

import pytest

from modules.service.single import Single


async def test_gives_results_and_exceptions() -> None:
    single = Single()
    assert await single.call(max, 1, 2) == 2
    with pytest.raises(ValueError, match="invalid literal"):
        await single.call(int, "x")


async def test_while_a_call_hangs_no_other_is_begun() -> None:
    single, let_go, calls = Single(), threading.Event(), []

    def hang() -> str:
        calls.append(1)
        let_go.wait(10)
        return "at last"

    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await single.call(hang)
    assert calls == [1]
    last = asyncio.create_task(single.call(hang))
    await asyncio.sleep(0)
    let_go.set()
    assert await last == "at last"
    assert calls == [1]
