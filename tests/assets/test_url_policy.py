"""Where a URL may lead: to the target, live to the hosts that the contract names, nowhere else."""

from __future__ import annotations

import pytest

from soundstage.assets.url_policy import place_of

OWN = "http://127.0.0.1:8000/base"
LIVE = "https://api.example.com"
NAMED = ("api.example.com", "storage.example.com")

FORBIDDEN = [
    "http://127.0.0.1:8001/a.mp3",
    "http://127.0.0.1/a.mp3",
    "https://127.0.0.1:8000/a.mp3:443",
    "http://localhost:8000/a.mp3",
    "http://127.1:8000/a.mp3",
    "http://2130706433:8000/a.mp3",
    "http://0x7f000001/a.mp3",
    "http://0177.0.0.1.:80/a.mp3",
    "http://10.0.0.7/a.mp3",
    "http://172.16.0.1/a.mp3",
    "http://192.168.1.1/a.mp3",
    "http://169.254.169.254/latest/meta-data",
    "http://100.64.0.1/a.mp3",
    "http://0.0.0.0:8000/a.mp3",
    "http://224.0.0.1/a.mp3",
    "http://[::1]:8000/a.mp3",
    "http://[::]/a.mp3",
    "http://[fe80::1%25eth0]/a.mp3",
    "http://[fd00::1]/a.mp3",
    "http://[::ffff:127.0.0.1]/a.mp3",
    "http://[2002:7f00:1::]/a.mp3",
    "http://minio/bucket/a.mp3",
    "http://worker-3.internal/a.mp3",
    "http://printer.local/a.mp3",
    "http://LOCALHOST./a.mp3",
    "http://user:secret@127.0.0.1:8000/a.mp3",
    "http://127.0.0.1:8000@evil.example.com/a.mp3",
    "file:///etc/passwd",
    "FILE://localhost/etc/passwd",
    "ftp://127.0.0.1:8000/a.mp3",
    "gopher://127.0.0.1:8000/",
    "data:audio/mpeg;base64,SUQz",
    "javascript:alert(1)",
]


@pytest.mark.parametrize("url", FORBIDDEN)
@pytest.mark.parametrize("live", [False, True])
def test_no_payload_may_lead_there(url: str, live: bool) -> None:
    place = place_of(url, OWN, NAMED, live=live)
    assert place.forbidden
    assert not place.allowed
    assert place.why


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8000/other/a.mp3", "HTTP://127.0.0.1:08000/a", "http://127.0.0.1:8000?a#b"],
)
def test_the_target_itself_is_asked(url: str) -> None:
    assert place_of(url, OWN, NAMED, live=False).allowed


@pytest.mark.parametrize(
    ("url", "live", "allowed"),
    [
        ("https://storage.example.com/a.mp3?sig=1", True, True),
        ("https://STORAGE.example.com:443/a.mp3", True, True),
        ("https://storage.example.com/a.mp3", False, False),
        ("http://storage.example.com/a.mp3", True, False),
        ("https://storage.example.com.evil.example.org/a.mp3", True, False),
        ("https://evil.example.org/storage.example.com", True, False),
        ("https://93.184.216.34/a.mp3", True, False),
        ("https://cdn.example.org:8443/a.mp3", True, False),
    ],
)
def test_hosts_of_the_contract_are_asked_of_the_live_api_alone(
    url: str, live: bool, allowed: bool
) -> None:
    place = place_of(url, LIVE, NAMED, live=live)
    assert (place.allowed, place.forbidden) == (allowed, False)
    assert place.why


def test_another_port_of_a_host_that_the_contract_names_is_none_of_its_places() -> None:
    for url in ("https://storage.example.com:8443/a", "https://api.example.com:444/a"):
        assert place_of(url, LIVE, NAMED, live=True).forbidden


@pytest.mark.parametrize("url", ["", "a.mp3", "//host/a.mp3", "http://", "http://[", "http://a:b/"])
def test_what_is_no_url_is_not_asked(url: str) -> None:
    place = place_of(url, OWN, NAMED, live=True)
    assert not place.allowed
    assert not place.forbidden, "the field's own rule says what is wrong"
