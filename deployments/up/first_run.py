"""What will the first runs of the lake collect? A process prints the lines about it, as one JSON list.

It is a process of its own because a lake may not answer. `adce up` can end a process at any time, but no thread.
"""

import asyncio
import json
import os

from config.load import load_config
from tasks.answers.first_run import before_the_first_run

if __name__ == "__main__":
    print(json.dumps(asyncio.run(before_the_first_run(load_config()))), flush=True)
    os._exit(0)  # threads of obstore would abort the process if they need the interpreter after its end
