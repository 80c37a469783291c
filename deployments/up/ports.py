"""Which ports of this machine's loopback are free?"""

import socket

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as listener:
        return int(listener.getsockname()[1])


def is_free(port: int) -> bool:
    """Connections of a server that has ended do not count, though they may linger."""
    try:
        with socket.create_server((LOOPBACK, port)):
            return True
    except OSError:
        return False
