"""With which templates is the status page written? Every text is escaped: no key and no reason is taken for HTML."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from markupsafe import Markup, escape

from config.secrets import masked
from tasks.domain.assess.coverage import Tally
from tasks.domain.wording import duration, size, utc, verb
from tasks.show.coverage.shades import DARK, LIGHT, OFF, SHADES, UNKNOWN, Shade, shade_of
from tasks.show.coverage.words import percent_of, sentence_of, state_in_words, summary_of
from tasks.show.status.links import Links
from tasks.show.templates import templates

_FOLDER = Path(__file__).parent / "templates"


def notice(title: str, text: str, links: Links) -> str:
    """A page that says only one thing, such as that there is no such page."""
    return TEMPLATES.get_template("notice.html").render(title=title, text=text, links=links)


def form(title: str, body: Markup, links: Links) -> str:
    """A page with a form, which is written already."""
    return TEMPLATES.get_template("form.html").render(title=title, body=body, links=links)


def text_of(name: str) -> str:
    """The text of a file that is no template."""
    return (_FOLDER / name).read_text()


def time_of(moment: datetime | None, *, is_set: bool = False) -> Markup:
    """A moment as an element that programs can read, too. The script of the page adds how long ago it is.

    It does not if the moment is one of a clock that was set, as a sandbox has one.
    """
    if moment is None:
        return Markup()
    moment = moment.astimezone(UTC)
    element = Markup('<time datetime="{}"{}>{}</time>')
    return element.format(f"{moment:%Y-%m-%dT%H:%M:%SZ}", Markup(' class="set"' * is_set), utc(moment))


def breakable(text: str) -> Markup:
    """A name, such as a key, that may be broken into lines after each underscore and slash."""
    return Markup(re.sub("([_/])", r"\1<wbr>", str(escape(masked(text)))))


def _span(seconds: float) -> str:
    return duration(timedelta(seconds=seconds))


def _percent(tally: Tally) -> str:
    """The percentage, such as "99.9 %", with a question mark if not all is known; or "-" if no file is wanted."""
    known, mark = percent_of(tally).rstrip("?"), "" if tally.is_known else "?"
    return f"{known} %{mark}" if tally.percent is not None else mark or "-"


def _class_of(shade: Shade) -> str:
    return f"shade-{shade.name}"


TEMPLATES = templates(
    _FOLDER,
    breakable=breakable,
    duration=duration,
    percent=_percent,
    per_cent=percent_of,
    seconds=_span,
    sentence=sentence_of,
    sentence_case=lambda text: text[:1].upper() + text[1:],
    shade=lambda tally: _class_of(shade_of(tally)),
    shade_class=_class_of,
    size=size,
    state=state_in_words,
    summary=summary_of,
    time=time_of,
    verb=verb,
)
STYLE = TEMPLATES.get_template("page.css").render(light=LIGHT, dark=DARK, shades=(*SHADES, UNKNOWN, OFF))
TEMPLATES.globals["style"] = STYLE
