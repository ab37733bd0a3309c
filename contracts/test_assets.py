"""What the payloads point to: each URL on a host that may be asked answers with its media."""

from typing import Any

import pytest

from soundstage.contract import Contract
from soundstage.contract.roles import asset_urls

_MEDIA = {"audio_url": "audio/", "stream_url": "audio/", "album_art": "image/"}


@pytest.mark.each_contract
@pytest.mark.parametrize("role", sorted(_MEDIA))
def test_assets_answer(contract: Contract, gate: Any, role: str) -> None:
    values = []
    for endpoint in contract.endpoints.values():
        if endpoint.request is not None:
            exchange = gate.captured(contract.api, endpoint.name)
            if exchange is not None:
                values += [chunk for _, chunk in exchange.chunks] or [exchange.value]
    urls = [url for found, url in asset_urls(contract, values) if found == role]
    allowed = [url for url in urls if gate.may_fetch(contract, url)]
    if not allowed:
        pytest.skip(f"no {role} on a host that may be asked" if urls else f"no {role} was seen")
    for url in allowed:
        status, media, size = gate.fetch_head(url)
        assert status == 200, f"{role} {url} answers with {status}"
        assert media.startswith(_MEDIA[role]), f"{role} {url} is of type {media or 'none'}"
        assert size > 0, f"{role} {url} is empty"
