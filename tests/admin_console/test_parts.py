"""Targets that name parts, from a console that has not met these sites before."""

import pytest

from admin_console.wish import NobodyMeant
from tests.admin_console.ground import ODD, Ground, states


async def test_a_part_that_is_up_means_only_sites_that_have_it(ground: Ground) -> None:
    await ground.site("cern")
    await ground.site("fnal", f'{ODD}[instance.side]\nmodule = "odd"\n')
    assert states(await ground.run("odd:side=up", "odd try")) == {"fnal": "done"}
    assert states(await ground.run("not side:*=up", "odd try")) == {"cern": "done"}
    with pytest.raises(NobodyMeant, match="fits none of 2 sites"):
        await ground.run("odd:nosuch=up", "odd try")
