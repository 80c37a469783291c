"""When do runs of two Prefect servers use the same ledger?"""

from datetime import datetime, timedelta

import pytest

from tasks.domain.limits.servers import Server, Use, two_servers
from tests.builders import NOW

HERE = Server("http://here/api", {"adce-espn": "1", "adce-nba_api": "2"})
HERE_TOO = Server("http://10.0.0.7/api", dict(HERE.buckets))
THERE = Server("http://there/api", {"adce-espn": "3"})
ELSEWHERE = Server("http://elsewhere/api", {"adce-basketball_reference": "9"})


def use(server: Server, began: float, ended: float | None) -> Use:
    return Use(server, _at(began), None if ended is None else _at(ended))


def refused(server: Server, began: float) -> Use:
    return Use(server, _at(began), _at(began), is_refused=True)


def _at(minute: float) -> datetime:
    return NOW + timedelta(minutes=minute)


@pytest.mark.parametrize(
    ("uses", "are_two"),
    [
        pytest.param([use(HERE, 0, 5), use(THERE, 4, 9)], True, id="at the same time"),
        pytest.param([use(HERE, 0, None), use(THERE, 4, 4)], True, id="one at work, and the other died"),
        pytest.param([use(HERE, 0, None), refused(THERE, 4)], False, id="refused once"),
        pytest.param([use(HERE, 0, None), refused(THERE, 4), refused(THERE, 6)], False, id="refused when tried again"),
        pytest.param([use(HERE, 0, None), refused(THERE, 4), refused(THERE, 19)], True, id="refused by schedule"),
        pytest.param([use(HERE, 0, 5), refused(THERE, 4), use(THERE, 6, 7)], False, id="moved after a refusal"),
        pytest.param([use(HERE, 0, 5), use(THERE, 6, 7), use(HERE, 8, 9)], True, id="in turn"),
        pytest.param([use(THERE, 6, 7), use(HERE, 0, 5), use(HERE, 8, 9)], True, id="in any order"),
        pytest.param([use(HERE, 0, 5), use(HERE, 5, 6), use(THERE, 6, None)], False, id="moved"),
        pytest.param([use(HERE, 0, 9), use(HERE_TOO, 4, 9)], False, id="one with two addresses"),
        pytest.param([use(HERE, 0, 9), use(ELSEWHERE, 4, 9)], False, id="for other sources"),
        pytest.param([use(HERE, 0, None)], False, id="one"),
        pytest.param([], False, id="none"),
    ],
)
def test_two_servers_are_those_whose_runs_overlap_or_alternate(uses: list[Use], *, are_two: bool) -> None:
    found = two_servers(uses, timedelta(minutes=15))
    assert (found is not None) is are_two
    assert found is None or set(map(id, found)) <= {id(HERE), id(THERE)}
