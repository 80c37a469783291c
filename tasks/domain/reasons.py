"""Which rule keeps a file in its state? For programs; the text beside it is for people."""

from enum import StrEnum


class Limit(StrEnum):
    NOT_PUBLISHED = "not_published"  # the source does not have the page now, and its season runs
    EXAMINE_AT_MOST = "reconcile.examine_at_most"  # only so many stored files are read per run
    DISAGREEMENT = "sources_disagree"  # another source lists more final games of a day; looked at again after a while
    OBSTACLE = "obstacle"  # something that is no file stands at its key in the lake, and somebody has to remove it
    OPERATOR = "operator"  # somebody has said so, with `adce unavailable`
