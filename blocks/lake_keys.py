"""Which names are lake keys?"""

import string
from collections.abc import Sequence

_PLAIN = (string.ascii_letters + string.digits + "_-./\n").encode()
_SEGMENTS = bytes.maketrans(b"/", b"\n")  # makes a line of each segment of a key
_LONGEST = 900  # characters
_NOT_SEGMENTS = frozenset(("", ".", ".."))


def are_plain(keys: Sequence[str]) -> bool:
    """Do all keys consist of letters, digits, _ - . and single slashes, so that they are valid?

    This checks all keys at once, which is much faster than checking each.
    """
    text = "\n".join(["", *keys, ""])
    segments = text.encode("ascii", "replace").translate(_SEGMENTS)
    return (
        not segments.translate(None, _PLAIN)
        and text.count("\n") == len(keys) + 1
        and b"\n\n" not in segments
        and b"\n." not in segments
        and max(map(len, keys), default=0) <= _LONGEST
    )


def is_valid(key: str) -> bool:
    segments = key.split("/")
    return 0 < len(key) <= _LONGEST and _NOT_SEGMENTS.isdisjoint(segments) and key.isprintable() and "\\" not in key
