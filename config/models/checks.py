"""Body checks: which there are, and the options of each."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from config.models.base import Model, WholeNumber, matching

# The options of each body check. tasks/sources/checks.py has the function of each.
CHECK_OPTIONS: dict[str, tuple[str, ...]] = {
    "json": ("must_have", "equals", "rows", "min_rows"),
    "html_table": ("tables", "must_have", "min_rows"),
    "espn.scoreboard": (),
    "espn.summary": (),
    "nba_api.schedule": (),
    "nba_api.box_score": ("kind",),
    "nba_api.play_by_play": (),
    "basketball_reference.schedule": (),
    "basketball_reference.box_score": (),
    "basketball_reference.play_by_play": (),
    "basketball_reference.season_table": ("tables", "min_rows"),
}


class Check(Model):
    """Body check of a dataset: its name and its options."""

    name: Annotated[str, matching(r"[a-z_]+(\.[a-z_]+)?", "not the name of a body check; write it as espn.summary")]
    tables: list[str] = Field(default=[], description="ids of the table; the page needs one of them")
    min_rows: WholeNumber = Field(default=0, ge=0, description="smallest number of rows in the list or table")
    kind: Annotated[str, matching(r"[a-z]*", "must be one word in small letters, such as traditional")] = Field(
        default="", description="kind of a version 3 box score: traditional, advanced, usage …"
    )
    must_have: list[Annotated[str, matching(r"\S(.*\S)?", "must be a name")]] = Field(
        default=[], description="of JSON: paths that have a value, such as game.gameId; of a table: its columns"
    )
    equals: dict[str, str] = Field(
        default={}, description='paths of a JSON document, and templates of their values, as game.gameId: "{id}"'
    )
    rows: str = Field(default="", description="path of the list whose rows are counted; default: the whole document")

    def misplaced(self) -> list[str]:
        """The options that are set although this check does not have them."""
        unset = Check(name=self.name)
        options = CHECK_OPTIONS[self.name]
        names = [name for name in Check.model_fields if name not in ("name", *options)]
        return [name for name in names if getattr(self, name) != getattr(unset, name)]
