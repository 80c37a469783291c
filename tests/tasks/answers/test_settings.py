"""Which settings of a run had another value in the run before, and how is that told?"""

from dataclasses import replace

from config.effective import effective_values
from config.load import load_config
from tasks.answers.report import Report
from tasks.answers.settings import SettingsUsed, settings_used
from tasks.domain.assess.assessment import Assessment
from tasks.domain.assess.overview import overview_of
from tasks.show.markdown import run_markdown
from tests.builders import NOW, a_config

SECRET = "a-token-that-nobody-may-see"


def test_what_changed_since_the_run_before_is_told_without_secrets() -> None:
    headers = f"{{Authorization: Bearer {SECRET}, X-Old: a}}"
    changed = load_config(env={"ADCE_RECONCILE__INTERVAL": "20m", "ADCE_SOURCES__ESPN__HEADERS": headers})
    former, now = effective_values(a_config()), effective_values(changed)
    used = settings_used(now, former, NOW)
    assert dict(change[:2] for change in used.changes)["reconcile.interval"] == "15m"
    assert SECRET not in str(used)
    told = run_markdown(_report(used))
    assert f"Settings {used.digest}; {len(used.changes)} changed since the run of 2026-01-15 12:00 UTC." in told
    assert "| reconcile.interval | 15m | 20m |" in told
    assert "| sources.espn.headers.Authorization |  | *** |" in told


def test_the_same_settings_have_the_same_digest_whatever_their_order() -> None:
    values = {"a": 1, "b": ["c"]}
    used = settings_used(values, dict(reversed(values.items())), NOW)
    assert used == settings_used(values, values, NOW)
    assert used.changes == ()
    assert used.digest != settings_used(values | {"a": 2}).digest
    assert f"{used.line}\n" in run_markdown(_report(used))
    assert "| setting |" not in run_markdown(_report(used))
    assert settings_used(values).line == f"Settings {used.digest}; no earlier run is known."


def _report(used: SettingsUsed) -> Report:
    return replace(Report(overview_of(Assessment({}, {}, NOW)), (), (), a_config(), outcomes={}), settings=used)
