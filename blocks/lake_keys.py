"""Which names are lake keys?"""

import string
from collections.abc import Sequence

_PLAIN = (string.ascii_letters + string.digits + "_-./\n").encode()
_LONGEST = 900  # characters
_NOT_SEGMENTS = frozenset(("", ".", ".."))


def are_plain(keys: Sequence[str]) -> bool:
    """Do all keys consist of letters, digits, _ - . and single slashes, so that they are valid?

    This checks all keys at once, which is much faster than checking each.
    """
    text = "\n".join(keys)
    return (
        text.isascii()
        and not text.encode().translate(None, _PLAIN)
        and text.count("\n") < max(len(keys), 1)
        and not any(sign in f"\n{text}\n" for sign in ("//", "/.", "\n.", "\n/", "/\n", "\n\n"))
        and max(map(len, keys), default=0) <= _LONGEST
    )


def is_valid(key: str) -> bool:
    segments = key.split("/")
    return 0 < len(key) <= _LONGEST and _NOT_SEGMENTS.isdisjoint(segments) and key.isprintable() and "\\" not in key
