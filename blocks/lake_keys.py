"""Which names are lake keys?"""

import re
from collections.abc import Sequence

_SEGMENT = "[A-Za-z0-9_-][A-Za-z0-9_.-]*+"  # sets of characters are faster than \\w
_PLAIN = re.compile(f"(?:{_SEGMENT}(?:/{_SEGMENT})*+\n)*+")  # keys, a line each
_LONGEST = 900  # characters
_NOT_SEGMENTS = frozenset(("", ".", ".."))


def are_plain(keys: Sequence[str]) -> bool:
    """Do all keys consist of letters, digits, _ - . and single slashes, so that they are valid?

    This checks all keys at once, which is much faster than checking each.
    """
    text = "\n".join([*keys, ""])
    is_plain = _PLAIN.fullmatch(text) is not None and text.count("\n") == len(keys)
    return is_plain and max(map(len, keys), default=0) <= _LONGEST


def is_valid(key: str) -> bool:
    """Can a file of the lake have this key, both in S3 and in a folder?"""
    segments = key.split("/")
    return 0 < len(key) <= _LONGEST and _NOT_SEGMENTS.isdisjoint(segments) and key.isprintable() and "\\" not in key
