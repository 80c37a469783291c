"""A stand-in for SQS on loopback that costs next to nothing. It knows one queue, and forgets what is deleted.

Its process prints its port. moto's receive takes 0.85 ms for each message that is in the queue, which would be what is
measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from typing import Any

_NAME = "123456789012/old"


class _Queue:
    """Messages that wait, by their bodies, and those that were received."""

    def __init__(self, bodies: list[str], sent: str):
        self._waiting = deque(enumerate(bodies))
        self._received: set[str] = set()
        self._attributes = {"SentTimestamp": sent, "ApproximateReceiveCount": "1"}

    def answer(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        if operation == "ReceiveMessage":
            return {"Messages": [self._message(*self._waiting.popleft()) for _ in range(min(10, len(self._waiting)))]}
        if operation in ("DeleteMessageBatch", "ChangeMessageVisibilityBatch"):
            if operation == "DeleteMessageBatch":
                self._received -= {entry["ReceiptHandle"] for entry in asked["Entries"]}
            return {"Successful": [{"Id": entry["Id"]} for entry in asked["Entries"]], "Failed": []}
        waiting = {"ApproximateNumberOfMessages": str(len(self._waiting))}
        hidden = {"ApproximateNumberOfMessagesNotVisible": str(len(self._received))}
        fixed = {"QueueArn": "arn:aws:sqs:us-east-1:123456789012:old", "VisibilityTimeout": "300"}
        return {"Attributes": fixed | waiting | hidden | {"MaximumMessageSize": "262144"}}

    def _message(self, number: int, body: str) -> dict[str, Any]:
        handle = f"h{number}"
        self._received.add(handle)
        return {"MessageId": f"m{number}", "ReceiptHandle": handle, "Body": body, "Attributes": self._attributes}


async def _serve(queue: _Queue) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
                fields = {name.lower(): value for name, value in fields.items()}
                asked = json.loads(await reader.readexactly(int(fields[b"content-length"])))
                operation = fields[b"x-amz-target"].decode().rpartition(".")[2]
                body = json.dumps(queue.answer(operation, asked)).encode()
                kind = b"Content-Type: application/x-amz-json-1.0\r\nx-amzn-RequestId: r\r\n"
                writer.write(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (kind, len(body), body))
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    sent, *_ = sys.argv[1:]
    asyncio.run(_serve(_Queue(sys.stdin.read().splitlines(), sent)))
