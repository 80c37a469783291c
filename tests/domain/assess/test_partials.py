"""Which of two versions of a document is the better one?"""

import pytest

from tasks.domain.assess.partials import FOLDER, Version, better_of
from tasks.domain.assess.verdicts import bad, unfinished, whole

FEW = Version(b'{"plays": [1, 2]}', unfinished("stops"))
MORE = Version(b'{"plays": [1, 2, 3, 4]}', unfinished("stops"))
JUNK = Version(b"<html>" + b"x" * 1000, bad("a page"))
WHOLE = Version(b"{}", whole())


@pytest.mark.parametrize(
    ("one", "other", "better"),
    [
        pytest.param(FEW, MORE, MORE, id="more in it"),
        pytest.param(JUNK, FEW, FEW, id="long junk"),
        pytest.param(MORE, WHOLE, WHOLE, id="a whole one that is shorter"),
        pytest.param(Version(FEW.body + b" " * 1000, FEW.verdict), MORE, MORE, id="spaces say nothing"),
        pytest.param(None, FEW, FEW, id="only one"),
        pytest.param(None, None, None, id="none"),
    ],
)
def test_the_wholer_and_then_the_fuller_is_better(
    one: Version | None, other: Version | None, better: Version | None
) -> None:
    assert better_of(one, other) is better
    assert better_of(other, one) is better


def test_of_equals_the_first_stays() -> None:
    same = Version(FEW.body, FEW.verdict)
    assert better_of(FEW, same) is FEW
    assert better_of(same, FEW) is same


def test_the_best_version_so_far_is_kept_in_the_lake_s_own_folder() -> None:
    assert FOLDER == "_adce/partial", "where lakes have it"
