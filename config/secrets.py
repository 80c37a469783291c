"""How is a URL shown that may hold a password?"""

import re


def masked(url: str) -> str:
    """The URL without its password, wherever in it that is, and though it may be no URL at all."""
    url = re.sub(r":(?!//).*@", ":***@", url, flags=re.DOTALL)
    return re.sub(r"(password=)[^&]*", r"\1***", url, flags=re.IGNORECASE)
