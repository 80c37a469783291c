"""When does `adce up` run the service, and what does it say if it does not?"""

import logging
import socket

from config.models import Serve
from deployments.up.children import Child
from deployments.up.ports import free_port
from deployments.up.serving import service_of
from tests.builders import a_config

ENV = {"PREFECT_API_URL": "http://127.0.0.1:4200/api"}


def found(settings: Serve, port: int | None = None) -> tuple[Child | None, list[tuple[str, int]]]:
    """The process, and what is said, with these settings."""
    said: list[tuple[str, int]] = []
    return service_of(a_config(serve=settings), port, ENV, lambda *line: said.append(line)), said


def test_it_is_not_vital_and_asks_the_server_of_adce_up() -> None:
    port = free_port()
    service, said = found(Serve(port=1), port)
    assert service
    assert service.argv[-3:] == ["serve", "--port", str(port)]
    assert said == [(f"the status page is http://127.0.0.1:{port}", logging.INFO)]
    assert (service.env, service.is_vital, service.is_adce) == (ENV, False, True)
    assert found(Serve(enabled=False)) == (None, [])


def test_it_says_where_the_token_of_the_page_is() -> None:
    settings = Serve(host="0.0.0.0", port=free_port(), token="0123456789abcdef")
    _, ((line, _),) = found(settings)
    assert line == f"the status page is http://127.0.0.1:{settings.port}; it wants the token of the setting serve.token"
    said: list[str] = []
    service_of(
        a_config(serve=settings), None, ENV | {"ADCE_SERVE__TOKEN": "0123456789abcdef"}, lambda *of: said.append(of[0])
    )
    assert said[0].endswith("; it wants the token of ADCE_SERVE__TOKEN")


def test_why_it_is_not_started_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        why = f"port {port} of 127.0.0.1 is in use; take another with --serve-port"
        assert found(Serve(), port) == (
            None,
            [(f"adce serve is not started, and all else goes on: {why}", logging.WARNING)],
        )
    service, ((line, _),) = found(Serve(host="0.0.0.0"))
    assert service is None
    assert "a token is needed" in line
