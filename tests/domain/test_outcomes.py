"""Which words do programs read for what became of a file?"""

from tasks.domain.outcomes import Outcome


def test_the_names_of_the_outcomes_are_stored_in_the_ledger() -> None:
    """An attempt that was recorded under a former name could not be read any more."""
    assert [outcome.value for outcome in Outcome] == ["stored", "kept", "failed", "deferred"]
