"""Which requests are refused before any of them is answered? Those with a long head or body, and those that are none.

h11 and uvicorn measure a head only while it is incomplete, and keep a body until it is read.
"""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus

import h11

from deployments.serve.app import MOST_OF_A_FORM, headers_to_send, problem

LONGEST_HEAD = 16 * 1024  # bytes of a request's line and headers

_TEXTS = {
    HTTPStatus.BAD_REQUEST: "this is no request of HTTP/1.1",
    HTTPStatus.LENGTH_REQUIRED: "a body needs the header Content-Length",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"a body may have {MOST_OF_A_FORM} bytes",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: f"the line and the headers of a request may have {LONGEST_HEAD} bytes",
    HTTPStatus.SERVICE_UNAVAILABLE: "there are too many connections; try again soon",
}


class Requests(h11.Connection):
    """The requests of a connection. One that is refused raises h11.RemoteProtocolError, and `refused` says why."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, LONGEST_HEAD)
        self.refused = HTTPStatus.BAD_REQUEST

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """The next event, as h11 has it."""
        try:
            if self.their_state is h11.IDLE:
                self._check_head()
            event = super().next_event()
            if isinstance(event, h11.Request):
                _check_body(dict(event.headers))
        except h11.RemoteProtocolError as error:
            self.refused = HTTPStatus(error.error_status_hint)
            raise
        return event

    def _check_head(self) -> None:
        """Raises RemoteProtocolError for a long head before it is parsed, which costs more than to look for its end."""
        received, _ = self.trailing_data
        if len(received) > LONGEST_HEAD and not any(end in received[:LONGEST_HEAD] for end in (b"\n\r\n", b"\n\n")):
            raise h11.RemoteProtocolError("the head is too long", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)


def _check_body(headers: dict[bytes, bytes]) -> None:
    """Raises RemoteProtocolError if the body of a request is longer than a form, or may be."""
    if b"transfer-encoding" in headers:
        raise h11.RemoteProtocolError("there is no length", HTTPStatus.LENGTH_REQUIRED)
    if int(headers.get(b"content-length", 0)) > MOST_OF_A_FORM:
        raise h11.RemoteProtocolError("the body is too long", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


def refusal(status: HTTPStatus) -> bytes:
    """What is sent to a client whose request is not answered, before its connection is closed."""
    reply = problem(status, _TEXTS.get(status, _TEXTS[HTTPStatus.BAD_REQUEST]))
    lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode(), b"Connection: close"]
    lines.append(f"Date: {formatdate(usegmt=True)}".encode())
    lines += [b"%s: %s" % header for header in headers_to_send(reply)]
    return b"\r\n".join([*lines, b"", reply.answer.body])
