"""Each cause that the doctor knows, made on loopback: its name, its line, its exit code.

Whatever is sent to any server of these tests, no POST carries the key (conftest.py).
"""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import orjson
import pytest
from cryptography import x509
from tests.conftest import RawServer, RecordedRequest
from tests.doctor.conftest import LOOPBACK
from tests.support.asking_doctor import JSON, KEY, Found, answer, as_the_api, doctor
from tests.support.authority import Authority

from soundstage.contract import load
from soundstage.doctor import way_there
from soundstage.doctor.causes import CAUSES


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


# --- all is well ----------------------------------------------------------------------------------


def test_an_api_that_is_well_has_no_cause(host: Callable[..., RawServer]) -> None:
    server = host(as_the_api)
    found = doctor(server.url(""))
    assert (found.code, found.cause) == (0, None)
    assert found.outcome("key") == "ok"
    assert [each.headers.get("authorization") for each in server.requests] == [
        None,
        None,
        None,
        None,
        f"Bearer {KEY}",
    ]


def test_what_no_free_question_tells_is_not_known_and_says_why(
    host: Callable[..., RawServer],
) -> None:
    found = doctor(host(as_the_api).url(""), "--api", "v5")
    assert found.code == 0
    assert found.outcome("key") == "not known"
    said = {each["name"]: each["said"] for each in found.document["checks"]}
    assert "v5 has no free question that takes one" in said["key"]
    assert said["clock"] == "no answer says when it was made (no Date header)"


# --- the way there --------------------------------------------------------------------------------


def test_a_name_that_does_not_resolve() -> None:
    found = doctor("https://nobody-has-this-name.invalid")
    assert (found.code, found.outcome("name")) == (6, "problem")
    assert found.cause in ("name.unknown", "name.no_answer")


@pytest.mark.parametrize(
    ("number", "cause"),
    [(socket.EAI_NONAME, "name.unknown"), (socket.EAI_AGAIN, "name.no_answer")],
)
def test_a_name_service_that_does_not_answer_is_told_from_one_that_says_no(
    number: int, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise socket.gaierror(number, "said by the resolver")

    monkeypatch.setattr(way_there, "resolve", fails)
    assert doctor("https://song.example").cause == cause


def test_a_name_that_takes_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(way_there, "NAME_S", 0.05)
    monkeypatch.setattr(way_there, "resolve", lambda *_: time.sleep(0.5))
    assert doctor("https://song.example").cause == "name.no_answer"


def test_a_name_that_a_filter_leads_nowhere() -> None:
    assert doctor("http://0.0.0.0:1").cause == "address.nowhere"


def test_nobody_listens() -> None:
    found = doctor(f"http://127.0.0.1:{free_port()}")
    assert (found.code, found.cause) == (6, "connection.refused")
    assert found.outcome("TLS") == "not known"


@pytest.mark.usefixtures("impatient")
def test_nobody_answers_the_connection() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = []
        for _ in range(4):  # the queue of those that nobody takes is full
            each = socket.socket()
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
            waiting.append(each)
        try:
            found = doctor(f"http://127.0.0.1:{port}")
        finally:
            for each in waiting:
                each.close()
    assert (found.code, found.cause) == (6, "connection.timeout")


def test_no_way_leads_to_an_address() -> None:
    """Nobody may connect to all of a network at once."""
    found = doctor("http://255.255.255.255:9")
    assert (found.code, found.cause) == (6, "connection.no_way")


# --- proxies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "cause"),
    [(407, "proxy.login"), (403, "proxy.refuses"), (502, "proxy.fails"), (504, "proxy.fails")],
)
def test_a_proxy_that_does_not_connect(
    status: int, cause: str, raw_server: Callable[..., RawServer]
) -> None:
    proxy = raw_server([("send", answer(status, "text/plain", b"no"))], repeat=True)
    found = doctor("https://song.example", HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}")
    assert (found.code, found.cause) == (6, cause)
    assert proxy.requests[0].method == "CONNECT"


def test_the_password_of_a_proxy_is_not_shown(raw_server: Callable[..., RawServer]) -> None:
    proxy = raw_server([("send", answer(407, "text/plain", b"no"))], repeat=True)
    where = f"http://me:opensesame9@127.0.0.1:{proxy.port}"
    found = doctor("https://song.example", HTTPS_PROXY=where)
    assert found.cause == "proxy.login"
    assert "opensesame9" not in str(found.document)


@pytest.mark.parametrize("where", ["127.0.0.1:{port}", "no-such-proxy.invalid:3128"])
def test_a_proxy_that_is_not_there(where: str) -> None:
    proxy = f"http://{where.format(port=free_port())}"
    found = doctor("https://song.example", HTTPS_PROXY=proxy)
    assert (found.code, found.cause) == (6, "proxy.away")


# --- TLS ------------------------------------------------------------------------------------------

MakesTls = Callable[..., ssl.SSLContext]


def over_tls(server: RawServer, authority: Authority, *words: str) -> Found:
    """Ask for a server by TLS, with our authority trusted."""
    return doctor(f"https://127.0.0.1:{server.port}", "--ca-file", str(authority.file), *words)


def test_tls_that_is_good(
    host: Callable[..., RawServer], speaks_tls: MakesTls, authority: Authority
) -> None:
    found = over_tls(host(as_the_api, tls=speaks_tls("good", LOOPBACK)), authority)
    assert (found.code, found.cause, found.outcome("TLS")) == (0, None, "ok")


def test_an_authority_that_nobody_trusts(
    host: Callable[..., RawServer], speaks_tls: MakesTls
) -> None:
    server = host(as_the_api, tls=speaks_tls("stranger", LOOPBACK))
    found = doctor(f"https://127.0.0.1:{server.port}")
    assert (found.code, found.cause) == (6, "tls.untrusted")


@pytest.mark.parametrize(
    ("names", "hours", "cause"),
    [
        ((x509.DNSName("another.example"),), (-1, 1), "tls.wrong_name"),
        ((LOOPBACK,), (-48, -24), "tls.expired"),
        ((LOOPBACK,), (24, 48), "tls.not_yet_valid"),
    ],
)
def test_a_certificate_that_is_not_good(
    names: tuple[x509.GeneralName, ...],
    hours: tuple[int, int],
    cause: str,
    host: Callable[..., RawServer],
    speaks_tls: MakesTls,
    authority: Authority,
) -> None:
    found = over_tls(host(as_the_api, tls=speaks_tls(cause, *names, hours=hours)), authority)
    assert (found.code, found.cause, found.outcome("TLS")) == (6, cause, "problem")


@pytest.mark.parametrize("hours", [(-48, -24), (24, 48)])
def test_a_certificate_that_only_our_clock_finds_wrong(
    hours: tuple[int, int],
    host: Callable[..., RawServer],
    speaks_tls: MakesTls,
    authority: Authority,
) -> None:
    theirs = formatdate(time.time() + sum(hours) / 2 * 3600, usegmt=True)
    says = answer(404, JSON, b"{}", f"Date: {theirs}")
    found = over_tls(
        host(says, tls=speaks_tls(f"clock{hours[0]}", LOOPBACK, hours=hours)), authority
    )
    assert (found.code, found.cause) == (6, "tls.clock")
    assert "this machine's clock is 1 day " in found.said


@pytest.mark.usefixtures("impatient")
def test_plain_http_behind_https(host: Callable[..., RawServer]) -> None:
    found = doctor(f"https://127.0.0.1:{host(as_the_api).port}")
    assert (found.code, found.cause) == (6, "tls.plain_behind_https")
    assert "http://" in found.document["first"]["todo"]


def test_tls_behind_plain_http(host: Callable[..., RawServer], speaks_tls: MakesTls) -> None:
    server = host(as_the_api, tls=speaks_tls("behind", LOOPBACK))
    found = doctor(f"http://127.0.0.1:{server.port}")
    assert (found.code, found.cause) == (6, "tls.https_behind_plain")


@pytest.mark.usefixtures("impatient")
def test_neither_tls_nor_http_behind_https(raw_server: Callable[..., RawServer]) -> None:
    server = raw_server([("silent",), ("send", b"SSH-2.0-OpenSSH_9.6\r\n")], repeat=True)
    found = doctor(f"https://127.0.0.1:{server.port}")
    assert (found.code, found.cause) == (6, "tls.failed")


def test_a_server_that_wants_a_certificate_of_ours(
    host: Callable[..., RawServer], speaks_tls: MakesTls, authority: Authority
) -> None:
    context = speaks_tls("mutual", LOOPBACK)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    found = over_tls(host(as_the_api, tls=context), authority)
    assert (found.code, found.cause) == (6, "tls.client_certificate")


# --- what answers ---------------------------------------------------------------------------------

_OUTAGES = [502, 503, 504, 521]


@pytest.mark.parametrize("status", _OUTAGES)
def test_an_outage_by_its_status(status: int, host: Callable[..., RawServer]) -> None:
    found = doctor(host(answer(status, "text/plain", b"")).url(""))
    assert (found.code, found.cause) == (6, "http.outage")


def test_an_outage_that_the_api_itself_reports(host: Callable[..., RawServer]) -> None:
    printed = next(each for each in load("v6").errors.known if each.status == 503)
    found = doctor(host(answer(503, JSON, orjson.dumps(printed.body))).url(""))
    assert found.cause == "http.outage"


def test_an_api_that_fails_by_itself(host: Callable[..., RawServer]) -> None:
    found = doctor(host(answer(500, JSON, b'{"detail":"oh"}')).url(""))
    assert (found.code, found.cause) == (6, "http.outage")


def test_the_page_of_a_gateway(host: Callable[..., RawServer]) -> None:
    page = b"<html><body>Access denied</body></html>"
    found = doctor(host(answer(403, "text/html", page)).url(""))
    assert (found.code, found.cause) == (6, "http.outage")


@pytest.mark.parametrize("body", [b'{"message":"Forbidden"}', b'{"id":"%08x"}', b""])
def test_a_gateway_that_forbids_all_to_all(body: bytes, host: Callable[..., RawServer]) -> None:
    count = iter(range(1000, 2000))

    def says(_: RecordedRequest) -> bytes:
        return answer(403, JSON, body % next(count) if b"%" in body else body)

    found = doctor(host(says).url(""))
    assert (found.code, found.cause) == (6, "http.nobody_gets_in")
    assert "with the key and without it" in found.said
    assert found.outcome("key") == "not known"


def test_too_many_requests(host: Callable[..., RawServer]) -> None:
    found = doctor(host(answer(429, JSON, b"{}", "Retry-After: 30")).url(""))
    assert (found.code, found.cause) == (6, "http.rate_limited")
    assert "Retry-After: 30" in found.said


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_named_and_not_followed(status: int, host: Callable[..., RawServer]) -> None:
    other = host(as_the_api)
    where = f"http://127.0.0.1:{other.port}/song?token=abc"
    found = doctor(host(answer(status, JSON, b"", f"Location: {where}")).url(""))
    assert (found.code, found.cause) == (6, "http.redirect")
    assert f"127.0.0.1:{other.port}/song" in found.said
    assert "token=abc" not in found.said
    assert other.requests == []


@pytest.mark.parametrize("status", [200, 404, 405, 501])
def test_a_website_answers(status: int, host: Callable[..., RawServer]) -> None:
    page = b"<!doctype html><title>Welcome</title>"
    found = doctor(host(answer(status, "text/html; charset=utf-8", page)).url(""))
    assert (found.code, found.cause) == (6, "host.page")


@pytest.mark.parametrize("status", [404, 405])
def test_another_product_that_has_none_of_the_paths(
    status: int, host: Callable[..., RawServer]
) -> None:
    found = doctor(host(answer(status, JSON, b'{"error":"no such route"}')).url(""))
    assert (found.code, found.cause) == (6, "host.not_found")


def test_another_product_that_takes_anything(host: Callable[..., RawServer]) -> None:
    found = doctor(host(answer(200, JSON, b'{"status":"ok"}')).url(""))
    assert (found.code, found.cause) == (6, "host.other")


def test_what_answers_is_no_http(raw_server: Callable[..., RawServer]) -> None:
    server = raw_server([("silent",), ("send", b"SSH-2.0-OpenSSH_9.6\r\n")], repeat=True)
    found = doctor(server.url(""))
    assert (found.code, found.cause) == (6, "http.none")


@pytest.mark.usefixtures("impatient")
def test_a_connection_that_is_closed_without_an_answer(
    raw_server: Callable[..., RawServer],
) -> None:
    found = doctor(raw_server([("close",)], repeat=True).url(""))
    assert (found.code, found.cause) == (6, "http.closed")


@pytest.mark.usefixtures("impatient")
def test_a_server_that_never_answers_is_asked_once(
    raw_server: Callable[..., RawServer],
) -> None:
    server = raw_server([("hold",)], repeat=True)
    found = doctor(server.url(""))
    assert (found.code, found.cause) == (6, "http.no_answer")
    assert len(server.requests) == 1


# --- key, clock, contract -------------------------------------------------------------------------


def test_no_key(host: Callable[..., RawServer]) -> None:
    found = doctor(host(as_the_api).url(""), key=None)
    assert (found.code, found.cause) == (6, "key.missing")


@pytest.mark.parametrize("status", [401, 403])
def test_a_dead_key(status: int, host: Callable[..., RawServer]) -> None:
    def says(request: RecordedRequest) -> bytes:
        if request.target.startswith("/_emulator"):
            return answer(404, JSON, b'{"detail":"Not Found"}')
        return answer(status, JSON, b'{"detail":"Missing or invalid API key"}')

    found = doctor(host(says).url(""))
    assert (found.code, found.cause) == (6, "key.dead")


def test_a_key_of_an_empty_account(host: Callable[..., RawServer]) -> None:
    def says(request: RecordedRequest) -> bytes:
        if "authorization" in request.headers:
            return answer(402, JSON, b'{"detail":"pay"}')
        return as_the_api(request)

    assert doctor(host(says).url("")).cause == "key.no_balance"


def test_a_status_endpoint_that_asks_for_no_key_tells_nothing_of_it(
    host: Callable[..., RawServer],
) -> None:
    def says(request: RecordedRequest) -> bytes:
        if request.method == "GET":
            return answer(404, JSON, b'{"detail":"No such generation"}')
        return as_the_api(request)

    found = doctor(host(says).url(""))
    assert (found.code, found.outcome("key")) == (0, "not known")


@pytest.mark.parametrize(
    ("off_s", "words"), [(-3600 * 3, "3 hours ahead of"), (86_400 * 2, "2 days behind")]
)
def test_a_clock_that_is_off(off_s: float, words: str, host: Callable[..., RawServer]) -> None:
    theirs = formatdate(time.time() + off_s, usegmt=True)

    def says(request: RecordedRequest) -> bytes:
        return as_the_api(request).replace(b"\r\n\r\n", f"\r\nDate: {theirs}\r\n\r\n".encode(), 1)

    found = doctor(host(says).url(""))
    assert (found.code, found.cause) == (6, "clock.off")
    assert words in found.said


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Foo 99999 99:99:99 GMT", "x" * 9999])
def test_a_date_that_is_none_says_nothing(date: str, host: Callable[..., RawServer]) -> None:
    def says(request: RecordedRequest) -> bytes:
        return as_the_api(request).replace(b"\r\n\r\n", f"\r\nDate: {date}\r\n\r\n".encode(), 1)

    found = doctor(host(says).url(""))
    assert (found.code, found.outcome("clock")) == (0, "not known")


def test_what_a_cache_kept_for_long_is_no_clock_that_is_off(
    host: Callable[..., RawServer],
) -> None:
    made = formatdate(time.time() - 3600, usegmt=True)
    more = f"\r\nDate: {made}\r\nAge: 3600\r\n\r\n".encode()

    def says(request: RecordedRequest) -> bytes:
        return as_the_api(request).replace(b"\r\n\r\n", more, 1)

    found = doctor(host(says).url(""))
    assert (found.code, found.outcome("clock")) == (0, "ok")


def test_errors_that_do_not_fit_the_contract(host: Callable[..., RawServer]) -> None:
    """Nearly a printed one: that is an error of the contract, not a stranger's."""
    nearly = {"success": True, "message": "Rate limits have been passed for the user."}

    def says(request: RecordedRequest) -> bytes:
        if request.method == "POST":
            return answer(400, JSON, orjson.dumps(nearly))
        return as_the_api(request)

    found = doctor(host(says).url(""))
    assert (found.code, found.cause) == (1, "contract.does_not_fit")


def test_one_of_two_contracts_that_the_host_does_not_have(
    host: Callable[..., RawServer],
) -> None:
    def says(request: RecordedRequest) -> bytes:
        if request.target.startswith("/v5/"):
            return answer(404, JSON, b'{"detail":"Not Found"}')
        return as_the_api(request)

    found = doctor(host(says).url(""), "--api", "v5", "--api", "v6")
    assert (found.code, found.cause) == (1, "contract.does_not_fit")
    assert found.said.startswith("v5: POST /v5/")


@pytest.mark.proof
def test_a_machine_where_too_few_files_may_be_open() -> None:
    program = f"{sys.executable} -m soundstage doctor --target emulator --api v5"
    ran = subprocess.run(
        ["bash", "-c", f"ulimit -n 50; {program}"], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 6, ran.stderr
    assert "cause: machine.open_files: only 50 files may be open at once" in ran.stdout


# --- the page -------------------------------------------------------------------------------------


def test_the_page_has_every_cause_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/doctor.md").read_text("utf-8")
    first = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = [name for cell in first for name in re.findall(r"`([a-z_]+\.[a-z_]+)`", cell)]
    assert named == list(CAUSES)


def test_every_cause_says_what_to_do_in_one_line() -> None:
    for cause in CAUSES.values():
        assert cause.todo
        assert "\n" not in cause.todo
        assert len(cause.todo) <= 160
