"""Is the report of the last days shown in every form, also where there is no ledger?"""

import json
from contextlib import closing
from io import StringIO
from pathlib import Path

import pytest

from deployments.cli.layout import Paper
from deployments.cli.report import show
from tasks.answers.success import success_since
from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.ledger import Ledger
from tasks.ledger.attempts import FillRecord
from tasks.ledger.fills import FillEnd
from tests.builders import NOW, a_config, a_gap
from tests.deployments.conftest import run_adce


def test_without_a_ledger_every_figure_is_unknown_and_the_form_fits_the_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCE_LEDGER", f"sqlite:///{tmp_path / 'none.db'}")
    said = run_adce("report", "--since", "12h", "--json")
    assert "none.db" in said.stderr
    document = json.loads(said.stdout)
    assert [(figure["value"], figure["met"]) for figure in document["figures"]] == [(None, None)] * 6
    assert document["promises"] == document["longest"] == []
    piped = run_adce("report").stdout
    assert piped.startswith("# How well the lake was kept\n\nFrom ")
    assert "\n\n## Promises\n\nNo promise of a file ended.\n" in piped
    assert not (tmp_path / "none.db").exists()
    begin = json.loads(run_adce("report", "--since", "2026-01-15", "--json").stdout)["asked"]
    assert begin.startswith("2026-01-15T00:00:00")
    assert run_adce("runs", "--since", "2026-01-15").stdout == "no run since 2026-01-15\n"
    assert run_adce("report", "--since", "2999-01-01").stderr.startswith("adce: --since 2999-01-01: that day has not")
    wrong = run_adce("report", "--since", "soon")
    said_so = "adce: --since soon: not a duration; write it as 30m, 2h or 90d\n"
    assert (wrong.exit_code, wrong.stderr) == (2, said_so)


def test_a_terminal_gets_tables_or_lists_with_whole_words(tmp_path: Path) -> None:
    with closing(Ledger(f"sqlite:///{tmp_path / 'my.db'}")) as ledger:
        gap = a_gap(1, first_seen=NOW)
        ledger.gaps.record([gap, a_gap(2, first_seen=NOW)])
        fill = FillRecord("f", "r", "espn", "espn_summary", "missing", "HIGH", 1.0, NOW)
        failed = FileOutcome(gap.cell.key, Outcome.FAILED, 1, error="HTTP 500 [a|b]")
        ledger.fills.record(FillEnd(fill, NOW, [failed], gaps=[gap]))
        found = success_since(a_config(), ledger, NOW, NOW.replace(hour=18))
    for width in (40, 200):
        shown = StringIO()
        show(found, Paper(file=shown, width=width))
        lines = shown.getvalue().splitlines()
        assert any("espn_box_scores/401800001.json" in line for line in lines)
        assert "HTTP 500 [a|b]" in " ".join(shown.getvalue().split())
        assert any(line.startswith("Fills a minute while fills wait ") for line in lines) is (width == 200), "a table"
