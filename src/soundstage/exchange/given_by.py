"""What an exchange gives to others: the ids by which its generation is asked for again."""

from __future__ import annotations

from soundstage.contract.given_values import given_by_body, given_by_head
from soundstage.exchange.exchange import Exchange


def given_by(exchange: Exchange) -> dict[str, str]:
    """The values, by name; empty where it gives none."""
    endpoint = exchange.call.endpoint
    told = exchange.chunks if endpoint.kind == "stream" else [(None, exchange.value)]
    return {
        **given_by_body(endpoint, told),
        **given_by_head(endpoint, exchange.response.header),
    }
