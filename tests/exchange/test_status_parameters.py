"""What a status endpoint describes of its own query is filled in beside the id of the job."""

from __future__ import annotations

from tests.support.scripted_job import answer, state
from tests.support.small_api import small_job

DETAIL = {"query": {"detail": "{detail}"}, "parameters": {"detail": {"const": "all"}}}


def test_a_job_is_asked_for_with_its_id_and_what_the_endpoint_describes(tmp_path, follow):
    contract = small_job(tmp_path, status=DETAIL)
    done = follow(
        contract, answer(202, {"id": "a"}), state("queued"), state("working"), state("done")
    )
    assert (done.exchange.outcome, done.reason, done.codes) == ("ok", None, [])
    assert [each.target for each in done.requests] == ["/j/a?detail=all"] * 3
