"""Which ports of this machine's loopback are free?"""

import socket

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A port that is free at this moment."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        return int(listener.getsockname()[1])


def is_free(port: int) -> bool:
    """Can a server listen on the port? Lingering connections of a server that has ended do not matter."""
    try:
        with socket.create_server((LOOPBACK, port)):
            return True
    except OSError:
        return False
