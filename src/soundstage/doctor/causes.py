"""What may keep a target from being measured, and what to do about each, in one line. Data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from soundstage.exit_codes import ExitCode


@dataclass(frozen=True, slots=True)
class Cause:
    """`todo`: what to do, one line. `certain`: nothing can be measured while it lasts, so that a
    run that would cost money is not begun; of others a run is warned. `code`: what a command that
    looks for causes ends with.
    """

    name: str
    todo: str
    certain: bool = True
    code: ExitCode = ExitCode.ENVIRONMENT


_LATER: Final = "nothing here can mend it: try again later, and tell who runs the target"
_ALL: Final = (
    Cause("name.unknown", "look for a slip in --target; a name of your own network needs its VPN"),
    Cause("name.no_answer", "this machine's name service does not answer: look at its network"),
    Cause("address.nowhere", "a hosts file or a filter hides the name: take it off that list"),
    Cause("connection.refused", "look at host and port in --target, and whether the service runs"),
    Cause(
        "connection.timeout",
        "a firewall drops what is sent, or the host is down: try from another network, "
        "or through a proxy (HTTPS_PROXY)",
    ),
    Cause("connection.no_way", "there is no way to that network: look at VPN, routes and firewall"),
    Cause("proxy.away", "the proxy is not there: look at HTTPS_PROXY, or leave it out (NO_PROXY)"),
    Cause("proxy.login", "give the proxy a login: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"),
    Cause("proxy.refuses", "have the proxy allow this host, or go around it (NO_PROXY=HOST)"),
    Cause("proxy.fails", "the proxy cannot reach the target: look for a slip in --target first"),
    Cause("tls.untrusted", "name the authority that signed it with --ca-file PEM"),
    Cause("tls.wrong_name", "write a name into --target that the certificate is for"),
    Cause("tls.expired", "who runs the target has to renew its certificate"),
    Cause("tls.not_yet_valid", "who runs the target has to change its certificate, or wait"),
    Cause("tls.clock", "set the clock of this machine (NTP): certificates are judged by it"),
    Cause("tls.client_certificate", "give one that it takes: --client-cert CERT KEY"),
    Cause("tls.plain_behind_https", "it speaks plain HTTP: write http:// into --target"),
    Cause("tls.https_behind_plain", "it speaks TLS: write https:// into --target"),
    Cause("tls.failed", "look whether this port speaks TLS 1.2 or newer, and what stands between"),
    Cause("http.no_answer", _LATER),
    Cause("http.closed", _LATER),
    Cause("http.none", "it is no HTTP/1.1 that answers: look at host and port in --target"),
    Cause("http.redirect", "write where it leads into --target, if that is the API"),
    Cause("http.rate_limited", "wait; and ask less often from this address", certain=False),
    Cause("http.outage", _LATER),
    Cause(
        "http.nobody_gets_in",
        "a gateway before the API is down, or blocks this address: try from another network, "
        "and tell who runs the target",
        certain=False,
    ),
    Cause("host.page", "a website answers there, not the API: look at host and path in --target"),
    Cause("host.other", "another product answers there: look at host and path in --target"),
    Cause(
        "host.not_found",
        "the host has none of the contract's paths: look at --target, its path too, and at --api",
    ),
    Cause("key.missing", "set SOUNDVERSE_API_KEY, or name a file with --key-file"),
    Cause("key.dead", "the key is not known there, or no longer: get another"),
    Cause("key.no_balance", "the key is good, and its account is empty: pay in"),
    Cause("clock.off", "set the clock of this machine (NTP), or tell who runs the target", False),
    Cause(
        "contract.does_not_fit",
        "compare with the page, and name the contract that is meant with --api or --schemas",
        certain=False,
        code=ExitCode.BROKEN,
    ),
    Cause("machine.open_files", "raise the limit of open files: ulimit -n 4096", certain=False),
)
CAUSES: Final = {cause.name: cause for cause in _ALL}
