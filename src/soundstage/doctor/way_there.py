"""Whether there is a way to the target: its name, its addresses, a connection, TLS."""

from __future__ import annotations

import ipaddress
import socket
import threading
from dataclasses import replace
from typing import Final

from soundstage.doctor.clock_check import offset_of, shown_offset
from soundstage.doctor.free_requests import FreeAnswer, FreeRequests
from soundstage.doctor.health import HealthCheck, ok, problem, unknown
from soundstage.wire.channel import resolve
from soundstage.wire.end import EndCause, EndKind
from soundstage.wire.url import Url, bracketed

#: How long a name may take, in seconds; the lookup itself cannot be interrupted.
NAME_S: Final = 5.0
_SHOWN: Final = 3
#: What resolvers say who do not know, and do not say no (getaddrinfo(3)).
_NO_ANSWER: Final = frozenset({socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_SYSTEM})
_OF_PROXY: Final = {
    EndCause.PROXY_AWAY: "proxy.away",
    EndCause.PROXY_LOGIN: "proxy.login",
    EndCause.PROXY_REFUSES: "proxy.refuses",
    EndCause.PROXY_FAILS: "proxy.fails",
}
_OF_TLS: Final = {
    EndCause.TLS_UNTRUSTED: "tls.untrusted",
    EndCause.TLS_WRONG_NAME: "tls.wrong_name",
    EndCause.TLS_EXPIRED: "tls.expired",
    EndCause.TLS_NOT_YET_VALID: "tls.not_yet_valid",
    EndCause.TLS_CLIENT_CERT: "tls.client_certificate",
}
#: What nginx and its kin say to plain HTTP on a port of TLS.
_PLAIN_REFUSED: Final = (400, 497)


def name_and_address(url: Url, proxy: tuple[str, int] | None) -> list[HealthCheck]:
    """The checks of the name and its addresses. Behind a proxy those are the proxy's: the target's
    own are for the proxy to find.
    """
    host, port = proxy or (url.host, url.port)
    whose = "the proxy " if proxy else ""
    found = _resolved(host, port)
    if isinstance(found, str):
        if proxy:
            return [problem("name", "proxy.away", f"{whose}{host}: {found}")]
        cause = "name.no_answer" if found.startswith("no answer") else "name.unknown"
        return [problem("name", cause, f"{host}: {found}")]
    many = len(found)
    if _is_address(host):
        name = ok("name", f"{whose}{host} is an address; no name is looked up")
    else:
        name = ok("name", f"{whose}{host}: {many} address{'' if many == 1 else 'es'}")
    kinds = [_kind(each) for each in found]
    shown = [f"{each} ({kind})" for each, kind in zip(found, kinds, strict=True)]
    said = ", ".join(shown[:_SHOWN]) + (f" and {many - _SHOWN} more" if many > _SHOWN else "")
    if all(kind == "nowhere" for kind in kinds):
        return [name, problem("address", "address.nowhere", said)]
    return [name, ok("address", said)]


def reached(url: Url, answer: FreeAnswer, asking: FreeRequests) -> list[HealthCheck]:
    """The checks of the connection and of TLS, by the first question that was asked."""
    through = asking.transport.proxy_of(url)
    proxy = None if through is None else (through.host, through.port)
    checks = [connection(url, answer, proxy)]
    if checks[0].cause is None:
        checks.append(tls(url, answer, asking))
    return checks


def connection(url: Url, answer: FreeAnswer, proxy: tuple[str, int] | None) -> HealthCheck:
    """The check of the connection that the first question was to go over."""
    times, end = answer.times, answer.end
    via = f" through the proxy {bracketed(proxy[0])}:{proxy[1]}" if proxy else ""
    if times.connected_ns is not None:
        took = (times.connected_ns - times.start_ns) / 1e6
        return ok("connection", f"{url.authority}{via} in {took:.0f} ms")
    assert end is not None
    if end.cause in _OF_PROXY:
        return problem("connection", _OF_PROXY[end.cause], end.message)
    if end.cause is EndCause.NO_NAME:
        return problem("connection", "name.unknown", end.message)
    cause = {
        EndKind.REFUSED: "connection.refused",
        EndKind.CONNECT_TIMEOUT: "connection.timeout",
        EndKind.TOTAL_TIMEOUT: "connection.timeout",
    }.get(end.kind, "connection.no_way")
    return problem("connection", cause, end.message)


def tls(url: Url, answer: FreeAnswer, asking: FreeRequests) -> HealthCheck:
    """The check of TLS, or of its absence, on a connection that stands."""
    times, end = answer.times, answer.end
    if url.scheme == "http":
        if _may_be_tls(answer) and _speaks_tls(url, asking):
            return problem("TLS", "tls.https_behind_plain", f"{url.authority} answers TLS alone")
        return ok("TLS", "none: what goes over http can be read on the way")
    if times.tls_ns is not None and not (end is not None and end.kind is EndKind.TLS):
        assert times.connected_ns is not None
        took = (times.tls_ns - times.connected_ns) / 1e6
        trust = "its certificate is good" if asking.settings.verify else "not verified (--insecure)"
        return ok("TLS", f"in {took:.0f} ms; {trust}")
    assert end is not None
    if end.cause in (EndCause.TLS_EXPIRED, EndCause.TLS_NOT_YET_VALID):
        off = _clock_of(url, asking)
        if off is not None:
            return problem("TLS", "tls.clock", f"{end.message}, and {shown_offset(off)}")
    if end.cause in _OF_TLS:
        return problem("TLS", _OF_TLS[end.cause], end.message)
    if asking.transport.proxy_of(url) is None and _speaks_plain(url, asking):
        return problem("TLS", "tls.plain_behind_https", f"{url.authority} answers plain HTTP")
    return problem("TLS", "tls.failed", end.message)


def not_reached(name: str) -> HealthCheck:
    """A check that could not be made, since nothing was reached."""
    return unknown(name, "nothing was reached that could tell")


def _resolved(host: str, port: int) -> list[str] | str:
    """The addresses of a name, each once, or why there are none."""
    found: list[list[str] | str] = []

    def look() -> None:
        try:
            addresses = [str(address[0]) for _, address in resolve(host, port)]
            found.append(list(dict.fromkeys(addresses)))
        except socket.gaierror as error:
            # Where the lookup itself failed, nobody has said that there is no such name.
            said = (error.strerror or str(error)).lower()
            found.append(f"no answer: {said}" if error.errno in _NO_ANSWER else said)
        except (OSError, UnicodeError) as error:
            found.append(str(error))

    thread = threading.Thread(target=look, name="name lookup", daemon=True)
    thread.start()
    thread.join(NAME_S)
    return found[0] if found else f"no answer within {NAME_S:g} s"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _kind(text: str) -> str:
    """What kind of address it is, in a word."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if address.is_unspecified:
        return "nowhere"
    if address.is_loopback:
        return "this machine"
    if address.is_link_local or address.is_private:
        return "a private network"
    return "public"


def _may_be_tls(answer: FreeAnswer) -> bool:
    """Whether plain HTTP was answered as a server of TLS might: not at all, with what is no HTTP,
    or with its complaint.
    """
    if answer.status is not None:
        return answer.status in _PLAIN_REFUSED
    kinds = (EndKind.FRAMING, EndKind.TRUNCATED, EndKind.RESET, EndKind.IDLE_TIMEOUT)
    return answer.end is not None and answer.end.kind in kinds


def _speaks_tls(url: Url, asking: FreeRequests) -> bool:
    unverified = replace(asking.settings, verify=False, proxy=None, client_cert=None)
    return asking.elsewhere(f"https://{url.authority}/", unverified).times.tls_ns is not None


def _speaks_plain(url: Url, asking: FreeRequests) -> bool:
    answer = asking.elsewhere(f"http://{url.authority}/", asking.settings)
    return answer.status is not None


def _clock_of(url: Url, asking: FreeRequests) -> float | None:
    """How far this machine's clock is off by that of a server whose dates are wrong, in seconds;
    None if they agree, or it does not say. It is not verified, and gets nothing.
    """
    unverified = replace(asking.settings, verify=False)
    return offset_of(asking.elsewhere(f"https://{url.authority}/", unverified))
