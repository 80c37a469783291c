"""What does a document look like whose plays stop before the end of the game?"""

import json
import re

_ROW = re.compile(rb"<tr\b.*?</tr>", re.S)


def with_fewer_plays(body: bytes, share: float) -> bytes:
    """The document with only the first `share` (0 to 1) of its plays. A document without plays stays as it is."""
    if not body.startswith(b"{"):
        return _page_with_fewer_plays(body, share)
    document = json.loads(body)
    for holder, name in ((document, "plays"), (document.get("game") or {}, "actions")):
        if plays := holder.get(name):
            holder[name] = plays[: int(len(plays) * share)]
    return json.dumps(document).encode()


def _page_with_fewer_plays(page: bytes, share: float) -> bytes:
    before, table, rest = page.partition(b'id="pbp"')
    inside, end, after = rest.partition(b"</table>")
    rows = _ROW.findall(inside)
    for row in rows[int(len(rows) * share) :]:
        inside = inside.replace(row, b"", 1)
    return before + table + inside + end + after
