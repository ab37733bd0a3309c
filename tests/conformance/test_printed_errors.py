"""Which unprinted bodies of errors are nearly a printed one, and which are errors of their own."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from soundstage.conformance.answers import check_error, is_the_apis_word
from soundstage.conformance.judge import Judge
from soundstage.contract import Contract

Body = dict[str, Any]


def printing(contract: Contract, *bodies: Body) -> Contract:
    """The contract with these bodies in place of its first printed errors, and no others."""
    known = [error for error in contract.errors.known if error.printed]
    made = [replace(error, body=body) for error, body in zip(known, bodies, strict=False)]
    return replace(contract, errors=replace(contract.errors, known=tuple(made)))


def said(contract: Contract, body: Body) -> list[str]:
    answer = check_error(contract, json.dumps(body).encode(), status=400)
    return [each.message for each in answer.violations]


def envelope(message: str, **more: Any) -> Body:
    return {"status": "error", "message": message, **more}


def nested(kind: str, message: str, **more: Any) -> Body:
    return {"error": {"type": kind, "message": message, "doc": "https://docs.example"}, **more}


@pytest.fixture
def flat(v6: Contract) -> Contract:
    return printing(v6, envelope("Slow down."), envelope("Pay first."), envelope("No."))


@pytest.fixture
def deep(v6: Contract) -> Contract:
    return printing(
        v6,
        nested("limit", "Slow down."),
        nested("balance", "Pay first."),
        nested("balance", "Pay again."),
    )


@pytest.mark.parametrize(
    "body",
    [
        envelope("Something else."),
        {"status": "error"},
        {"status": "error", "code": 7},
        {"error": {"code": "x", "message": "Something else."}},
        {"message": True},
    ],
)
def test_a_member_that_all_printed_errors_share_makes_no_body_nearly_one(flat, body):
    assert said(flat, body) == []
    assert not is_the_apis_word(flat, json.dumps(body).encode())


def test_a_member_that_several_share_tells_none_of_them(v6):
    contract = printing(v6, envelope("a"), envelope("b"), {"status": "failed", "message": "c"})
    assert said(contract, envelope("d")) == []
    (message,) = said(contract, {"status": "failed", "message": "d"})
    assert "message is 'd'; expected 'c'" in message


def test_a_member_of_one_printed_error_alone_still_tells_it(flat):
    (message,) = said(flat, envelope("Pay first.", code=1))
    assert "it also has code" in message
    (message,) = said(flat, {"message": "Pay first."})
    assert "status is missing" in message
    assert is_the_apis_word(flat, b'{"message": "Pay first."}')


@pytest.mark.parametrize(
    "body",
    [
        nested("other", "Something else."),
        nested("balance", "Something else."),
        {"error": {"doc": "https://docs.example"}},
        {"error": "limit"},
        {"type": "limit", "message": "Slow down."},
    ],
)
def test_of_a_nested_envelope_the_leaves_are_compared(deep, body):
    assert said(deep, body) == []
    assert not is_the_apis_word(deep, json.dumps(body).encode())


def test_what_differs_within_an_envelope_is_named_by_its_place(deep):
    (message,) = said(deep, nested("limit", "Slower."))
    assert "error.message is 'Slower.'; expected 'Slow down.'" in message
    (message,) = said(deep, nested("balance", "Pay again.", id=1))
    assert "it also has id" in message
    (message,) = said(deep, {"error": {"type": "limit", "message": "Slow down."}})
    assert "error.doc is missing" in message
    wide = nested("limit", "Slow down.")
    wide["error"]["more"] = 1
    (message,) = said(deep, wide)
    assert "it also has error.more" in message


def test_items_of_lists_are_leaves_as_well(v6):
    one, other = ({"errors": [{"kind": kind, "level": "error"}]} for kind in ("limit", "money"))
    contract = printing(v6, one, other)
    assert said(contract, {"errors": [{"kind": "else", "level": "error"}]}) == []
    (message,) = said(contract, {"errors": [{"kind": "money", "level": "warning"}]})
    assert "errors is an array" in message or "errors is" in message


@pytest.mark.parametrize("value", [True, False, None, [], {}])
def test_a_value_that_says_next_to_nothing_tells_no_error(v6, value):
    contract = printing(v6, {"data": value, "message": "a"}, {"message": "b"})
    assert said(contract, {"data": value, "message": "c"}) == []


def test_a_boolean_is_no_number(v6):
    contract = printing(v6, {"code": 1, "message": "a"}, {"code": 2, "message": "b"})
    assert said(contract, {"code": True, "message": "c"}) == []
    (message,) = said(contract, {"code": 1.0, "message": "c"})
    assert "message is 'c'; expected 'a'" in message


@pytest.mark.parametrize("kind", ["stream", "sync"])
def test_an_error_that_no_page_prints_is_no_outage_where_it_was_asked_for(v5, kind):
    """A 503 looks like a gateway's; of the one that was asked for everybody knows whose it is."""
    endpoint = next(each for each in v5.endpoints.values() if each.kind == kind)
    error = next(each for each in v5.errors.known if each.status == 503)
    assert not error.printed

    def reason(body: Body, *, asked: bool, status: int = 503) -> str | None:
        judge = Judge(v5, endpoint, expect_error=asked)
        judge.head(status, "application/json")
        judge.feed(json.dumps(body).encode())
        judge.close()
        assert judge.violations == []
        return judge.reason

    assert reason(error.body, asked=True) is None
    assert reason({**error.body, "message": "else"}, asked=True) == "http.503"
    assert reason(error.body, asked=True, status=502) == "http.502"
    assert reason(error.body, asked=False) == "http.503"
