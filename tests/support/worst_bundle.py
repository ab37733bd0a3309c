"""The worst run that the schemas of a bundle let through: hostile strings in every place that takes
text, names of members included.
"""

from __future__ import annotations

import copy
import gzip
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import orjson

from soundstage.results.layout import why_invalid, why_not_observed

_EVIL = "https://evil.example/x"
#: What runs a script, asks for something, goes somewhere, or gets out of where it stands: in text,
#: in an attribute with either quote or none, in a style sheet, a title, SVG, Markdown, a template.
#: A script that ran has set `window.hit`.
HOSTILE: tuple[str, ...] = (
    "<script>window.hit=1;alert(1)</script>",
    f"<img src={_EVIL}.png onerror=window.hit=2>",
    f'"><svg onload="window.hit=3"><use href="{_EVIL}.svg#a"/></svg>',
    "' onmouseover='window.hit=4' autofocus onfocus='window.hit=5' x='",
    f"</style><style>@import url({_EVIL}.css); body {{ background: url({_EVIL}.png) }}</style>",
    "</title><script>window.hit=6</script><title>",
    "</text></svg></td></table></details></main></body></html><script>window.hit=7</script>",
    "javascript:window.hit=8",
    f'<meta http-equiv="refresh" content="0; url={_EVIL}">',
    f'<base href="{_EVIL}/"><link rel=stylesheet href={_EVIL}.css>',
    f'<iframe srcdoc="<script>parent.hit=9</script>"></iframe><object data={_EVIL}></object>',
    f'<form action="{_EVIL}"><button formaction="javascript:window.hit=10">x</button></form>',
    f"<svg><image href='{_EVIL}.png'/><animate onbegin=window.hit=11 attributeName=x /></svg>",
    f"<math><a xlink:href='javascript:window.hit=12'>x</a></math><video poster={_EVIL}></video>",
    f"<a href='data:text/html,<script>window.hit=13</script>' ping={_EVIL}>x</a>",
    "<!-- --!><script>window.hit=14</script> ]]> <![CDATA[ <?xml ?> <!ENTITY x SYSTEM 'file:///'>",
    "&lt;script&gt;window.hit=15&lt;/script&gt; &#60;script&#62; &NewLine;&colon; &amp;lt;",
    "{{7*7}} {% for x in range(9) %}{{x}}{% endfor %} ${7*7} #{7*7} <%= 7*7 %> {{config}}",
    f"![image]({_EVIL}.png) [link](javascript:window.hit=16) <{_EVIL}> `code` | cell | @everyone",
    "x; fill: url(https://evil.example/x.svg#a); --y: expression(window.hit=17) /* */ } * { x",
    "\u202egnp.exe\u2066 \u200b\u2028 \ufeff \U000e0041 \x1b[2J\x1b]8;;http://b\x07 \x9b31m \x00",
    "::error::x ##[error]x ##vso[task.setvariable variable=x]y ##teamcity[message text='x']",
    "é\u0301" * 300 + "Z\u0351\u036b\u0343" * 200,
    "<b>" * 3000,
    "W" * 20_000,
)
#: A bundle with longer names is refused.
_LONGEST_NAME = 500
_FILES = {"violations.ndjson": "violation", "rules.ndjson": "rule", "health.ndjson": "health"}
#: What charts and tables put rows together by: in most rows it stays, so that there is all of them.
_GROUPING = frozenset(
    {"api", "endpoint", "rule", "exchange", "id", "outcome", "stages", "milestones"}
)


def make_worst(path: Path) -> Path:
    """Put hostile strings into a bundle, wherever its schemas take them."""
    texts = map(HOSTILE.__getitem__, (n % len(HOSTILE) for n in count()))
    run = orjson.loads((path / "run.json").read_bytes())
    fixed = {"format", "id", "created", "status", "verdict"}
    (path / "run.json").write_bytes(orjson.dumps(_worst(run, _valid(None), texts, fixed)))
    rows = path / "exchanges.ndjson.gz"
    lines = _lines(gzip.decompress(rows.read_bytes()), "exchange", texts)
    rows.write_bytes(gzip.compress(lines))
    for name, definition in _FILES.items():
        if (path / name).exists():
            (path / name).write_bytes(_lines((path / name).read_bytes(), definition, texts))
    observed = path / "observed.json"
    if observed.exists():
        found = orjson.loads(observed.read_bytes())
        valid = _worst(found, lambda value: why_not_observed(value) is None, texts, set())
        for endpoint in (
            each for endpoints in valid["apis"].values() for each in endpoints.values()
        ):
            _hostile_facts(endpoint["counts"])
        observed.write_bytes(orjson.dumps(valid))
    return path


def _hostile_facts(counts: dict[str, int]) -> None:
    """Facts whose stages, details and places are hostile strings: keys of any shape are valid."""
    many = counts.get("exchanges//", 1)
    for text in HOSTILE:
        short = text[:_LONGEST_NAME].replace("/", "~1")
        counts[f"stage/?{short}/"] = many
        counts[f"field/validated//{short}"] = many
        for facet in ("type", "value", "format", "size"):
            counts[f"{facet}/validated/{short}/status"] = many
        for facet in ("framing", "index.start", "last", "rule", "track"):
            counts[f"{facet}//{short}"] = many
        counts[f"order/validated/{short}"] = counts[f"times/validated/{short}"] = many


def _valid(definition: str | None) -> Callable[[Any], bool]:
    return lambda value: why_invalid(definition, value) is None


def _lines(raw: bytes, definition: str, texts: Iterator[str]) -> bytes:
    rows = [orjson.loads(line) for line in raw.splitlines()]
    found = []
    for number, row in enumerate(rows):
        # Each row costs a check for each of its places; a dozen show what there is.
        if number < 12:
            kept = _GROUPING if number % 3 else frozenset()
            row = _worst(row, _valid(definition), texts, kept)
        found.append(orjson.dumps(row) + b"\n")
    return b"".join(found)


def _worst(
    value: Any, valid: Callable[[Any], bool], texts: Iterator[str], kept: set[str] | frozenset[str]
) -> Any:
    """A copy in which each text that may be another is the next hostile one, and there is one more
    member with a hostile name and value wherever one may be.
    """
    found = copy.deepcopy(value)

    def attempt(holder: Any, key: Any, text: Any) -> None:
        missing = object()
        before = holder.get(key, missing) if isinstance(holder, dict) else holder[key]
        holder[key] = text
        if not valid(found):
            if before is missing:
                del holder[key]
            else:
                holder[key] = before

    def walk(holder: Any) -> None:
        places = list(holder.items() if isinstance(holder, dict) else enumerate(holder))
        for key, inner in places:
            if key in kept:
                continue
            if isinstance(inner, dict | list):
                walk(inner)
            elif inner is None or isinstance(inner, str):
                attempt(holder, key, next(texts))
        if isinstance(holder, dict):
            text = next(texts)[:_LONGEST_NAME]
            alike = copy.deepcopy(places[-1][1]) if places else text
            attempt(holder, text, alike)

    walk(found)
    return found
