"""Do this lake, this ledger and this command belong together?"""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tasks.domain.errors import MismatchError
from tasks.domain.lakes import Facts, KnownLake, LakeKind, LakeMark, Pairing, check_part, check_sites, mark_from, pair
from tests.builders import a_config

REAL, SANDBOX = LakeKind.REAL, LakeKind.SANDBOX
MASKED, FORGOTTEN = KnownLake("a", REAL, "file://***/lake"), KnownLake("a", REAL, "")
MADE = datetime(2026, 1, 15, tzinfo=UTC)
HERE, ELSEWHERE = "file:///data/lake", "file:///old/lake"
A, NEW = LakeMark("a", REAL, MADE), LakeMark("new", REAL, MADE)
OF_SANDBOX = replace(A, kind=SANDBOX)
KNOWN = KnownLake("a", REAL, HERE)


def some_facts(mark: LakeMark | None = A, known: KnownLake | None = KNOWN, **change: int) -> Facts:
    """A lake and a ledger that know each other."""
    return Facts(HERE, "sqlite:///adce.db", mark, known, **change)


@pytest.mark.parametrize(
    ("facts", "wanted", "mark", "news"),
    [
        pytest.param(some_facts(), REAL, A, None, id="known to each other"),
        pytest.param(some_facts(), None, A, None, id="looked at"),
        pytest.param(some_facts(None, None), REAL, NEW, None, id="both without, as before there were marks"),
        pytest.param(some_facts(None, None, ledger_is_new=False), REAL, NEW, None, id="both in use before"),
        pytest.param(some_facts(None, None, lake_is_empty=True), SANDBOX, replace(NEW, kind=SANDBOX), None, id="new"),
        pytest.param(some_facts(OF_SANDBOX, None), SANDBOX, OF_SANDBOX, None, id="sandbox's"),
        pytest.param(some_facts(A, None), REAL, A, "not in ledger sqlite:///adce.db", id="new ledger"),
        pytest.param(some_facts(None), REAL, replace(NEW, id="a"), "no mark (_adce/lake.json) any more", id="lost"),
        pytest.param(
            some_facts(known=replace(KNOWN, url=ELSEWHERE)), REAL, A, f"{ELSEWHERE} is at {HERE} now", id="moved"
        ),
        pytest.param(some_facts(OF_SANDBOX), None, OF_SANDBOX, None, id="a sandbox's, looked at"),
        pytest.param(some_facts(A, MASKED), REAL, A, None, id="where it was is not known"),
        pytest.param(some_facts(None, FORGOTTEN), REAL, replace(NEW, id="a"), None, id="to be filled anew"),
        pytest.param(some_facts(A, FORGOTTEN), REAL, A, None, id="forgotten and there"),
        pytest.param(
            some_facts(None, replace(KNOWN, kind=SANDBOX)),
            SANDBOX,
            LakeMark("a", SANDBOX, MADE),
            "no mark (_adce/lake.json) any more",
            id="a sandbox's, lost",
        ),
        pytest.param(
            some_facts(None, files_gone=2), None, replace(NEW, id="a"), "knows 2 files of it", id="gone, looked at"
        ),
    ],
)
def test_what_belongs_together_goes_on(facts: Facts, wanted: LakeKind, mark: LakeMark, news: str | None) -> None:
    found = pair(facts, wanted, NEW)
    assert found == Pairing(mark, is_marked=facts.mark is not None, news=found.news)
    assert (news or "") in (found.news or "")
    assert bool(news) == bool(found.news)


@pytest.mark.parametrize(
    ("facts", "wanted", "says"),
    [
        pytest.param(some_facts(), SANDBOX, "neither empty nor a sandbox's", id="sandbox in a real lake"),
        pytest.param(some_facts(None), SANDBOX, "neither empty nor a sandbox's", id="in one without its mark"),
        pytest.param(
            some_facts(None, None),
            SANDBOX,
            "leave out --lake and ADCE_LAKE, or name an empty lake$",
            id="in one without any mark",
        ),
        pytest.param(some_facts(OF_SANDBOX), REAL, "is a sandbox's.*name another", id="real run in a sandbox's lake"),
        pytest.param(
            some_facts(None, None, lake_is_empty=True, ledger_is_new=False),
            SANDBOX,
            "; leave out ADCE_LEDGER, or name a new ledger$",
            id="used",
        ),
        pytest.param(
            some_facts(OF_SANDBOX, None, ledger_is_new=False), None, "belongs to another lake", id="used, looking"
        ),
        pytest.param(some_facts(replace(A, id="b")), REAL, "ADCE_LEDGER=sqlite:///another.db", id="another lake"),
        pytest.param(
            some_facts(replace(A, id="b")),
            None,
            f"the lake at {HERE} is not .*, though its address is the same: its mark _adce/lake.json says",
            id="another, looked at",
        ),
        pytest.param(
            some_facts(None, replace(KNOWN, url=ELSEWHERE), lake_is_empty=True),
            REAL,
            "after a move, copy its _adce/lake.json as well; otherwise use another ledger",
            id="another without a mark",
        ),
        pytest.param(
            some_facts(None, MASKED), REAL, "belongs to lake .*, not to", id="perhaps another, without a mark"
        ),
        pytest.param(some_facts(None, FORGOTTEN), SANDBOX, "neither empty nor a sandbox's", id="of a real lake before"),
        pytest.param(
            some_facts(None, files_gone=1234),
            REAL,
            r"is empty, but ledger sqlite:///adce\.db knows 1,234 files of it: .* adce ledger forget-lake$",
            id="gone",
        ),
        pytest.param(
            some_facts(None, files_gone=1), REAL, "knows a file of it: is the disk mounted", id="its only one"
        ),
    ],
)
def test_what_does_not_is_refused_with_the_remedy(facts: Facts, wanted: LakeKind, says: str) -> None:
    with pytest.raises(MismatchError, match=says) as raised:
        pair(facts, wanted, NEW)
    assert "\n" not in str(raised.value)


def test_a_part_of_a_run_is_done_with_that_runs_lake_and_ledger_only() -> None:
    facts = some_facts()
    check_part((None, None), ("a", "l"), facts)
    check_part(("a", "l"), ("a", "l"), facts)
    with pytest.raises(MismatchError, match=f"^the lake here, {HERE}, is .*; set ADCE_LAKE for this worker"):
        check_part(("b", "l"), ("a", "l"), facts)
    with pytest.raises(MismatchError, match=r"^the ledger here, sqlite:///adce\.db, .*; set ADCE_LEDGER for this"):
        check_part(("a", "m"), ("a", "l"), facts)


def test_a_mark_is_read_as_it_was_written_and_junk_is_none() -> None:
    assert mark_from(A.body()) == A
    assert A.body() == b'{"id": "a", "kind": "lake", "made": "2026-01-15T00:00:00+00:00"}', "as lakes have it"
    assert json.loads(OF_SANDBOX.body())["kind"] == "sandbox"
    for junk in (b"", b"<html>", b"[]", b"null", b'{"id": "a"}', b'{"id": "a", "kind": "pond", "made": "2026-01-15"}'):
        assert mark_from(junk) is None


def test_a_sandbox_s_lake_is_never_filled_from_a_real_site() -> None:
    config = a_config()
    check_sites(config)
    sandbox = config.model_copy(update={"sandbox": True})
    with pytest.raises(MismatchError, match=r"but espn is asked at site\.api\.espn\.com; add --sandbox"):
        check_sites(sandbox)
    here = {name: s.model_copy(update={"base_url": "http://127.0.0.1:1/x"}) for name, s in config.sources.items()}
    check_sites(sandbox.model_copy(update={"sources": here}))
