"""Where a job is asked for: the id is one part of a URL and no more, whatever an API gives for it,
and no key goes to another host.
"""

from __future__ import annotations

import pytest
from tests.support.scripted_job import KEY, answer, state
from tests.support.small_api import small_job

ASKED_BY_QUERY = {"path": "/j", "query": {"id": "{id}", "view": "a b&c"}}
BY_LOCATION = {"gives": {"id": {"header": "Location"}}}

#: Ids that would lead elsewhere, alone or once somebody on the way has decoded them.
HARMFUL = [
    "../admin",
    "..",
    ".",
    "a/../../admin",
    "a//b",
    "/admin",
    "..\\admin",
    "%2e%2e%2fadmin",
    "%252e%252e%252fadmin",
    "a\r\nHost: elsewhere.example",
    "a%0d%0aHost: elsewhere.example",
    "a\x00b",
    "a\u202eb",
    "x" * 5_000,
]
#: Ids that are strange and mean no harm: (id, as it is sent).
STRANGE = [
    ("a b", "a%20b"),
    ("a?b=c#d", "a%3Fb%3Dc%23d"),
    ("a&id=b", "a%26id%3Db"),
    ("a;b=c", "a%3Bb%3Dc"),
    ("100%", "100%25"),
    ("a/b", "a%2Fb"),
    ("@elsewhere.example", "%40elsewhere.example"),
    ("a:b", "a%3Ab"),
    ("{id}", "%7Bid%7D"),
    ("caf\u00e9", "caf%C3%A9"),
]


def test_the_key_goes_with_each_question_as_the_contract_says(tmp_path, follow):
    done = follow(small_job(tmp_path), answer(202, {"id": "a"}), state("queued"), state("done"))
    assert done.asked == ["/j/a", "/j/a"]
    assert done.keys == [f"Bearer {KEY}"] * 2


def test_a_key_in_a_header_of_its_own_goes_there_and_nowhere_else(tmp_path, follow):
    contract = small_job(tmp_path, words={"auth": {"header": "X-Api-Key"}})
    done = follow(contract, answer(202, {"id": "a"}), state("done"))
    assert done.keys == [KEY]
    assert all("authorization" not in each.headers for each in done.requests)


@pytest.mark.parametrize("status", [{}, ASKED_BY_QUERY], ids=["path", "query"])
@pytest.mark.parametrize(("given", "sent"), STRANGE)
def test_an_id_is_one_part_of_the_url_however_strange(tmp_path, follow, status, given, sent):
    done = follow(small_job(tmp_path, status=status), answer(202, {"id": given}), state("done"))
    assert done.asked == [f"/j?id={sent}&view=a%20b%26c" if status else f"/j/{sent}"]


@pytest.mark.parametrize("status", [{}, ASKED_BY_QUERY], ids=["path", "query"])
@pytest.mark.parametrize("given", HARMFUL, ids=[ascii(each[:30]) for each in HARMFUL])
def test_an_id_that_could_lead_elsewhere_is_never_sent(tmp_path, follow, status, given):
    done = follow(small_job(tmp_path, status=status), answer(202, {"id": given}), state("done"))
    assert done.asked == []
    assert not done.exchange.judge.ended
    assert done.reason.startswith("job.unusable_id: ")
    assert "elsewhere.example" not in done.reason
    assert (done.exchange.outcome, done.codes) == ("failed", [])
    assert done.exchange.verdict.value == "inconclusive"


def test_an_id_that_is_a_number_is_asked_for_as_one(tmp_path, follow):
    done = follow(
        small_job(tmp_path),
        answer(202, {"id": 7}),
        state("done"),
    )
    assert done.asked == ["/j/7"]
    assert "field.type" in done.codes


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("/j/a", ["/j/a"]),
        ("/j/a/", ["/j/a"]),
        ("/j/a%20b", ["/j/a%20b"]),
        ("a", ["/j/a"]),
        ("https://elsewhere.example/v2/jobs/a?token=x#top", ["/j/a"]),
        ("//elsewhere.example/a", ["/j/a"]),
        ("/j/..%2Fadmin", []),
        ("/j/%2e%2e", []),
        ("http://[", []),
        ("/", []),
    ],
)
def test_of_a_location_the_last_part_is_the_id_and_the_rest_goes_nowhere(
    tmp_path, follow, location, asked
):
    contract = small_job(tmp_path, job=BY_LOCATION)
    done = follow(contract, answer(202, {"id": "x"}, Location=location), state("done"))
    assert done.asked == asked


def test_an_answer_without_its_location_is_no_job_that_anybody_could_ask_for(tmp_path, follow):
    contract = small_job(tmp_path, job=BY_LOCATION)
    done = follow(contract, answer(202, {"id": "x"}), state("done"))
    assert done.asked == []
    assert done.reason == "job.no_id: the answer gives no 'id'"
    assert done.exchange.verdict.value == "inconclusive"


# --- redirects ------------------------------------------------------------------------------------


def test_a_redirect_to_another_host_is_never_followed(tmp_path, follow, raw_server):
    other = raw_server([("send", state("done"))], repeat=True)
    away = answer(302, {}, Location=other.url("/j/a"))
    done = follow(small_job(tmp_path), answer(202, {"id": "a"}), away)
    assert other.accepted == 0
    assert len(done.asked) == 5
    assert not done.exchange.judge.ended
    assert (done.exchange.outcome, done.reason) == ("failed", "http.302")
    assert set(done.codes) == {"http.redirect"}


def test_a_redirect_on_the_same_host_is_followed_with_the_key(tmp_path, follow):
    moved = answer(307, {}, Location="/jobs/a")
    done = follow(small_job(tmp_path), answer(202, {"id": "a"}), moved, state("done"))
    assert done.asked == ["/j/a", "/jobs/a"]
    assert done.keys == [f"Bearer {KEY}"] * 2
    assert done.exchange.outcome == "ok"
