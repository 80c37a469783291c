"""Why can a Prefect server not be used, as an error of httpx or of Prefect's client tells it?"""

from __future__ import annotations

from traceback import walk_tb

REFUSALS = (401, 403, 407)  # HTTP status of a server, or of a proxy before it, that wants other credentials


def why_unusable(error: Exception, server: str | None) -> str | None:
    """A line that says why, and what to do; None if the error is of another kind."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in REFUSALS:
        return f"the Prefect API at {server} refuses access with HTTP {status}; is PREFECT_API_KEY right?"
    if status is not None and status >= 500:
        return f"the Prefect API at {server} answers HTTP {status}; look at its log, and whether its disk is full"
    if "Failed to reach API" in str(error) or type(error).__module__.startswith(("httpx", "httpcore")):
        return f"the Prefect API at {server} cannot be reached; start it, or unset PREFECT_API_URL"
    if isinstance(error, TimeoutError) and "asgi_lifespan" in _modules_of(error):
        return "Prefect's embedded API has not started in time; try again, or start a server and set PREFECT_API_URL"
    return None


def _modules_of(error: Exception) -> set[str]:
    """The packages whose code the error has come through."""
    frames = (frame for frame, _ in walk_tb(error.__traceback__))
    return {str(frame.f_globals.get("__name__", "")).partition(".")[0] for frame in frames}
