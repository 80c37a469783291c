"""An ad hoc fill in a process of its own: `python -m tests.fill_process` with the flow's parameters as JSON."""

import asyncio
import json
import os
import sys

from flows.fill import fill

if __name__ == "__main__":
    state = asyncio.run(fill(**json.loads(sys.argv[1]), return_state=True))  # type: ignore[call-overload]  # Prefect's
    sys.stderr.flush()
    os._exit(1 if state.is_failed() else 0)
