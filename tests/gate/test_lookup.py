"""Identifiers of an API in the paths of requests: one segment, or none at all."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest

from soundstage.contract import load
from soundstage.exchange.filled_paths import LONGEST, UnusableError, filled, segment
from soundstage.gate.lookup import unusable
from soundstage.wire.url import parse_target

HARMLESS = {
    "a uuid": "6f1c1a2e-0b51-4c57-9d0a-5d8f3c1e2b7a",
    "a question mark": "a?x=1",
    "a fragment": "a#b",
    "a slash": "songs/1",
    "a percent sign": "100%",
    "an escape of a letter": "%41",
    "another host": "@evil.example",
    "a port": "a:80",
    "a space": "a b",
    "an umlaut": "zoë",
    "a brace": "{message_id}",
    "dots in a name": "v1..2",
    "a semicolon": "a;b=c&d",
    "a tilde": "~root",
}
HARMFUL = {
    "nothing": "",
    "the folder itself": ".",
    "the folder above": "..",
    "a way up": "../../admin",
    "a way up at the end": "a/..",
    "a way up with backslashes": "..\\..\\admin",
    "an encoded way up": "%2e%2e",
    "an encoded way up and slash": "%2E%2E%2fadmin",
    "twice encoded": "%252e%252e",
    "another origin": "//evil.example/x",
    "an absolute path": "/admin",
    "a line break": "a\r\nX-Header: b",
    "an encoded line break": "a%0d%0aX-Header: b",
    "a tab": "a\tb",
    "a NUL": "a\0b",
    "an escape sequence": "\x1b[2J",
    "a bidi override": "a\u202eb",
    "a line separator": "a\u2028b",
    "half a pair": "a\ud800",
    "a whole book": "x" * (LONGEST + 1),
    "a book in umlauts": "\u00e4" * (LONGEST // 6 + 1),
}


@pytest.mark.parametrize("identifier", HARMLESS.values(), ids=HARMLESS.keys())
def test_what_can_be_one_segment_is_encoded_as_one_and_decodes_to_itself(identifier):
    endpoint = load("v6").endpoints["status"]
    path = filled(endpoint, {"message_id": identifier})
    target = parse_target(f"https://api.example/base{path}")
    assert (target.host, target.port) == ("api.example", 443)
    parts = urlsplit(target.url)
    assert not parts.query
    assert not parts.fragment
    head, _, last = parts.path.rpartition("/")
    assert head == "/base/status/generation"
    assert unquote(last) == identifier


@pytest.mark.parametrize("identifier", HARMFUL.values(), ids=HARMFUL.keys())
def test_what_cannot_be_one_is_refused_and_is_a_finding(identifier):
    with pytest.raises(UnusableError):
        segment(identifier)
    contract = load("v6")
    found = unusable(contract, contract.endpoints["stream"], identifier)
    assert found is not None
    assert (found.code, found.severity) == ("field.value", "error")
    assert found.rule == "v6/stream/field/message_id/value"
    assert len(found.message) < 400


def test_a_contract_that_looks_nothing_up_asks_nothing_of_an_identifier():
    contract = load("v5")
    assert unusable(contract, contract.endpoints["stream"], "../x") is None
