"""Is the recorded coverage shown in every form, without the lake, and what is said if it cannot be shown?"""

import asyncio
import json
from contextlib import closing
from pathlib import Path

import pytest

from config.load import load_config
from tasks.answers.plan import plan_lake
from tasks.answers.recorded import recorded_look
from tasks.domain.expected.cells import Selection
from tasks.ledger import Ledger
from tests.builders import NOW
from tests.deployments.conftest import run_adce

RUN = "1a2b3c4d5e6f"


def _group(unknown: dict[str, str]) -> tuple[str, str]:
    return unknown["dataset"], unknown["season"]


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger with a recorded look at an empty lake. Then the lake is gone."""
    monkeypatch.setenv("ADCE_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("ADCE_LEDGER", f"sqlite:///{tmp_path / 'ledger.db'}")
    monkeypatch.setenv("ADCE_COLLECT", "{since: 2025-26}")
    with closing(Ledger(load_config().ledger)) as ledger:
        said = run_adce("coverage", "--recorded")
        assert said.exit_code == 2
        none = "adce: no look at the whole lake is recorded yet; "
        assert said.stderr == f"{none}`adce reconcile` for everything and without --as-of records what it finds\n"
        monkeypatch.setenv("ADCE_SANDBOX", "true")
        command = "`adce reconcile --sandbox` for all sources, datasets and seasons"
        assert run_adce("coverage", "--recorded").stderr == f"{none}{command} records what it finds\n"
        monkeypatch.delenv("ADCE_SANDBOX")
        (tmp_path / "lake").mkdir()
        report = asyncio.run(plan_lake(load_config(), Selection(), as_of=NOW))
        ledger.looks.record(recorded_look(report, RUN, {}))
    looked = run_adce("coverage", "--as-of", NOW.isoformat(), "--json")
    (tmp_path / "looked.json").write_text(looked.stdout)
    (tmp_path / "lake").rmdir()


def test_what_is_recorded_is_shown_as_it_was_found_without_the_lake(recorded: None, tmp_path: Path) -> None:
    found, looked = json.loads(run_adce("coverage", "--recorded", "--json").stdout), tmp_path / "looked.json"
    assert found.pop("run") == RUN
    expected = json.loads(looked.read_text())
    assert sorted(found.pop("unknown"), key=_group) == sorted(expected.pop("unknown"), key=_group)
    assert found == expected
    page, picture = tmp_path / "page.html", tmp_path / "picture.svg"
    assert run_adce("coverage", "--recorded", "--html", str(page), "--svg", str(picture)).exit_code == 0
    assert "recorded by run 1a2b3c4d" in page.read_text()
    assert "<svg" in picture.read_text()
    shown = run_adce("coverage", "--recorded", "--source", "espn", "--season", "2025-26")
    assert "as of 2026-01-15 12:00 UTC; only espn 2025-26; recorded by run 1a2b3c4d" in " ".join(shown.stdout.split())
    assert "br_totals" not in shown.stdout


def test_what_only_a_look_can_tell_is_refused_and_another_lake_is_warned_of(recorded: None, tmp_path: Path) -> None:
    for option, value in (("--since", "2026-01-01"), ("--until", "2026-01-01"), ("--as-of", "2026-01-01")):
        said = run_adce("coverage", "--recorded", option, value)
        assert said.exit_code == 2
        assert (
            said.stderr == f"adce: {option}: only a look at the lake can tell; leave it out, or leave --recorded out\n"
        )
    other = run_adce("coverage", "--recorded", "--lake", str(tmp_path / "other"))
    warned = f"adce: warning: what is recorded is of {(tmp_path / 'lake').as_uri()}, and not of"
    assert other.stderr == f"{warned} {(tmp_path / 'other').as_uri()}\n"
