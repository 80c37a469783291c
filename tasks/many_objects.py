"""How does work go on quickly that makes very many objects at once?"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def many_objects() -> Iterator[None]:
    """A block that runs without the garbage collector, which would traverse millions of new objects over and over.

    Afterwards they are frozen, so that later collections pass over them; reference counting still frees them.
    """
    was_on = gc.isenabled()
    gc.disable()
    gc.unfreeze()  # the objects of the block before
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
