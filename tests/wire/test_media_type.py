"""Which Content-Type counts where there are several."""

from __future__ import annotations

import pytest

from soundstage.wire.media_type import content_type_of

SSE, HTML, JSON = "text/event-stream", "text/html", "application/json"


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        ([], None),
        ([SSE], SSE),
        ([""], ""),
        (["x bogus"], "x bogus"),
        ([SSE + ";charset=utf-8"], SSE + ";charset=utf-8"),
        ([SSE, SSE], SSE),
        ([HTML, SSE], SSE),
        ([SSE, HTML], HTML),
        ([SSE, ""], SSE),
        ([SSE, "bogus"], SSE),
        ([SSE, "*/*"], SSE),
        (["bogus", "worse"], "bogus, worse"),
        ([f"{HTML}, {SSE}"], SSE),
        ([f"{SSE},"], SSE),
        ([f'{JSON}; profile="a,b"'], f'{JSON}; profile="a,b"'),
        ([f'{SSE}; a="b, {HTML}"', "x"], f'{SSE}; a="b, {HTML}"'),
        ([f'{SSE}; a="\\", {HTML}'], f'{SSE}; a="\\", {HTML}'),
        ([SSE, f"{JSON} ; charset=utf-8"], f"{JSON} ; charset=utf-8"),
    ],
)
def test_the_last_media_type_counts(values, counts):
    headers = [("date", "today"), *(("Content-TYPE", value) for value in values)]
    assert content_type_of(headers) == counts
    assert content_type_of([list(pair) for pair in headers]) == counts
