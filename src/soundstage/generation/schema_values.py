"""Hypothesis strategies for the values that a schema allows."""

from __future__ import annotations

import random
from typing import Any, Final

from hypothesis import reject
from hypothesis import strategies as st

from soundstage.contract.json_schema import patterns
from soundstage.contract.json_schema.field_schemas import Schema
from soundstage.contract.json_schema.keywords import ANNOTATIONS
from soundstage.contract.roles import URL_ROLES, role_of
from soundstage.generation.faults.legality import is_legal
from soundstage.generation.payloads import gathered
from soundstage.generation.sampler import Unmet, sampler_of
from soundstage.generation.story import Payload

#: What a URL's path may hold: no space, control character, quote or angle bracket.
_IN_URLS: Final = st.characters(
    codec="utf-8", exclude_categories=("Cc", "Zs", "Zl", "Zp"), exclude_characters='"<>'
)
#: Texts that software stumbles over: line ends that are none, marks, astral and combining ones.
_ODD_TEXTS: Final = st.sampled_from(
    ("\N{MULTIPLE MUSICAL NOTES}", "\u2028", "\u2029", "\x85", "\ufeff", "\x00", "\r\n\r\n",
     "data: x\n\n", "e\u0301", "\u202eevil", '"\\', "\U0010ffff", "null", "NaN")
)  # fmt: skip
TEXTS: Final = st.text() | _ODD_TEXTS | st.text(min_size=1, max_size=3).map(lambda text: text * 64)
_NUMBERS: Final = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
_URLS: Final = st.builds(
    "{}://{}/{}".format,
    st.sampled_from(("https", "http", "HTTPS")),
    st.sampled_from(("storage.example", "127.0.0.1:8000", "[::1]", "xn--bcher-kva.example")),
    st.text(_IN_URLS, max_size=20),
)
#: Any JSON value at all.
json_values: Final = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=4,
)
#: How many items an array has at most beyond those that it must have.
_ITEMS: Final = 2
#: Keywords that strategies say.
_SAID: Final = frozenset(
    {
        "allOf",
        "const",
        "enum",
        "items",
        "maxItems",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "pattern",
        "properties",
        "required",
        "type",
    }
)


def values(schema: Schema) -> st.SearchStrategy[Any]:
    """Every value that a resolved schema allows. Where it asks for more than strategies say, values
    are drawn from the schema by a seed: they do not shrink to plainer ones.
    """
    schema = gathered(schema)
    if schema.keys() - _SAID - ANNOTATIONS or schema.get("items") is False:
        return drawn(schema)
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from([v for v in schema["enum"] if is_legal(schema, v)])
    kinds = schema.get("type")
    if kinds is None:
        return json_values
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return st.one_of(*(_of_kind(kind, schema) for kind in sorted(kinds, key="null".__ne__)))


def drawn(schema: Schema) -> st.SearchStrategy[Any]:
    """Values of a schema that are drawn by a seed."""
    sampler = sampler_of(schema)

    def draw(seed: int) -> Any:
        try:
            return sampler.draw(random.Random(seed))
        except Unmet:
            reject()

    return st.integers(0, 2**16).map(draw)


def _of_kind(kind: str, schema: Schema) -> st.SearchStrategy[Any]:
    if kind == "null":
        return st.none()
    if kind == "boolean":
        return st.booleans()
    if kind == "integer":
        return st.integers(schema.get("minimum"), schema.get("maximum"))
    if kind == "number":
        least, most = schema.get("minimum"), schema.get("maximum")
        real = st.floats(least, most, allow_nan=False, allow_infinity=False)
        return real if least is not None or most is not None else _NUMBERS
    if kind == "string":
        return _strings(schema)
    if kind == "array":
        if schema.get("items") is False:
            return st.just([])
        items = values(schema["items"]) if "items" in schema else json_values
        least = schema.get("minItems", 0)
        return st.lists(items, min_size=least, max_size=schema.get("maxItems", least + _ITEMS))
    return _objects(schema) if "properties" in schema else st.dictionaries(st.text(), json_values)


def _strings(schema: Schema) -> st.SearchStrategy[str]:
    least = schema.get("minLength", 0)
    if role_of(schema) in URL_ROLES:
        found: st.SearchStrategy[str] = _URLS
    elif "pattern" in schema:
        # Texts are made for it by a library that searches with `re`.
        asked = str(schema["pattern"])
        found = st.from_regex(asked) if patterns.is_plain(asked) else TEXTS
    else:
        return TEXTS if not least else TEXTS.filter(lambda text: len(text) >= least)
    return found.filter(patterns.validator(schema).is_valid)


def _objects(schema: Schema) -> st.SearchStrategy[Payload]:
    properties = {name: values(inner) for name, inner in schema["properties"].items()}
    required = set(schema.get("required", ()))
    return st.fixed_dictionaries(
        {name: value for name, value in properties.items() if name in required},
        optional={name: value for name, value in properties.items() if name not in required},
    )
