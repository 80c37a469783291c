"""How is a judgement written to a row of the ledger, and is a row still as it was written?

A row has a seal: a digest of everything in it, and of the digests of the ranges of keys that the judgement rests on. So
a row that was damaged or changed by hand, or that comes from the ledger of another lake, is not taken for a judgement.
Of the keys, which are seldom read, a digest is sealed.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

from tasks.domain.assess.overview import Standing, Stored
from tasks.domain.assess.partitions import ExceptionalFile, Judgement
from tasks.domain.assess.ranges import DIGEST_BYTES, Verified
from tasks.domain.assess.states import Kind, State, Status
from tasks.domain.expected.cells import Partition
from tasks.domain.expected.games import Game, GameStatus
from tasks.domain.reasons import Limit

_SEAL_BYTES = 16
# What is raised where stored bytes are not what was written
_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError, zlib.error)


class UnreadableRowError(Exception):
    """A value of the ledger is not as it was written. The text says what is wrong."""


def row_of(
    partition: Partition, judgement: Judgement, keys: bytes, rules: str, ranges: Mapping[str, Verified]
) -> dict[str, Any]:
    """The row of a judgement that these rules have made of the files with these keys, which are packed.

    `ranges` is what the ranges of keys have held, by their starts. It has all that the judgement rests on.
    """
    packed = packed_json(
        {
            "ranges": judgement.ranges,
            "stored": judgement.stored,
            "counts": {
                span: [(*standing, count) for standing, count in standings.items()]
                for span, standings in judgement.counts.items()
            },
            "exceptions": [
                (key, _written(status), game and _written_game(game)) for key, status, game in judgement.exceptions
            ],
        }
    )
    sealed = _digest(keys) + packed
    judged, until = judgement.judged, judgement.until
    known = [*partition, rules, judged.timestamp(), until and until.timestamp(), judgement.games]
    return {
        **partition._asdict(),
        "rules": rules,
        "judged": judged,
        "until": until,
        "games": judgement.games,
        "content": _seal(known, sealed, judgement.ranges, ranges) + sealed,
        "keys": keys,
    }


def judgement_in(
    partition: Partition,
    rules: str,
    ranges: Mapping[str, Verified],
    judged: float,
    until: float | None,
    games: str,
    content: bytes,
) -> Judgement:
    """The judgement in a row, as the driver gives it. Raises UnreadableRowError if the row is not as it was written.

    `ranges` is what the ranges of keys have held, by their starts.
    """
    try:
        sealed = content[_SEAL_BYTES:]
        found = json.loads(zlib.decompress(sealed[_SEAL_BYTES:]))
        if content[:_SEAL_BYTES] != _seal([*partition, rules, judged, until, games], sealed, found["ranges"], ranges):
            raise ValueError
        counts = {
            span: {Standing(State(state), *parts): count for state, *parts, count in standings}
            for span, standings in found["counts"].items()
        }
        exceptions = [
            ExceptionalFile(key, _read_status(status), game and _read_game(game))
            for key, status, game in found["exceptions"]
        ]
        return Judgement(
            _at(judged), _moment(until), found["ranges"], Stored(*found["stored"]), games, counts, exceptions
        )
    except _UNREADABLE:
        raise UnreadableRowError("it is not as it was stored") from None


def _seal(known: Sequence[object], sealed: bytes, starts: Sequence[str], ranges: Mapping[str, Verified]) -> bytes:
    """The seal of a row with these values and this content, whose judgement rests on the ranges with these starts."""
    text = repr((known, [(start, ranges[start].digest) for start in starts]))
    return _digest(text.encode() + sealed)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_SEAL_BYTES).digest()


def packed_keys(keys: Iterable[str]) -> bytes:
    """The keys of files, as a row has them."""
    return zlib.compress("\n".join(keys).encode(), 1)


def keys_of_row(packed: bytes, content: bytes) -> list[str]:
    """The keys in a row with this content. Raises UnreadableRowError if they are not those that it was stored with."""
    try:
        if content[_SEAL_BYTES : 2 * _SEAL_BYTES] != _digest(packed):
            raise ValueError
    except _UNREADABLE:
        raise UnreadableRowError("its keys are damaged") from None
    return keys_in(packed)


def keys_in(packed: bytes) -> list[str]:
    """The keys that a row has. Raises UnreadableRowError if they are damaged."""
    try:
        return zlib.decompress(packed).decode().split("\n")
    except _UNREADABLE:
        raise UnreadableRowError("its keys are damaged") from None


def packed_json(content: object) -> bytes:
    """A JSON document, compressed."""
    return zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 1)


def packed_ranges(ranges: Mapping[str, Verified]) -> bytes:
    """What the ranges of keys have held, as it is stored: in the order of their starts."""
    return packed_json({start: [digest, at and at.timestamp()] for start, (digest, at) in sorted(ranges.items())})


def ranges_in(packed: bytes) -> dict[str, Verified]:
    """What the ranges of keys have held, by their starts. Raises UnreadableRowError if it is damaged."""
    try:
        found = {start: _verified(one) for start, one in json.loads(zlib.decompress(packed)).items()}
    except UnreadableRowError:
        raise
    except _UNREADABLE:
        raise UnreadableRowError("they are not as they were stored") from None
    if any(later <= earlier for earlier, later in pairwise(found)):
        raise UnreadableRowError("the ranges of keys are not in their order")
    return found


def _verified(stored: Any) -> Verified:
    """A range as it is stored. Former releases have stored its digest alone."""
    digest, seconds = (stored, None) if isinstance(stored, str) else stored
    if len(bytes.fromhex(digest)) not in (0, DIGEST_BYTES):
        raise UnreadableRowError(f"a digest does not have {DIGEST_BYTES} bytes")
    return Verified(digest, _moment(seconds))


def _written(status: Status) -> list[Any]:
    until = status.until and status.until.timestamp()
    return [status.state, status.reason, status.kind, until, status.lost, status.limit, status.of, status.partial]


def _read_status(fields: list[Any]) -> Status:
    state, reason, kind, until, lost, limit, of, partial = fields
    return Status(State(state), reason, kind and Kind(kind), _moment(until), lost, limit and Limit(limit), of, partial)


def _written_game(game: Game) -> list[Any]:
    start = game.start and game.start.timestamp()
    return [game.id, game.day.isoformat(), start, game.status, game.season, game.season_type, game.if_necessary]


def _read_game(fields: list[Any]) -> Game:
    id, day, start, status, season, season_type, if_necessary = fields
    return Game(id, date.fromisoformat(day), _moment(start), GameStatus(status), season, season_type, if_necessary)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else _at(seconds)


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
