"""Tells a 500 that comes again from one that happens.

A single 500 to a valid request is a refusal, which leaves the contract unjudged. Where an endpoint
gives it again while other valid requests to the same API are answered, it is a finding: the service
is up, and does not answer what it documents. Under load every 500 stays a refusal.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from soundstage.conformance.answers import violation
from soundstage.conformance.violations import Severity
from soundstage.exchange.exchange import Exchange

_REFUSAL = "http.500"
_OK = 200
_REDIRECTION, _SERVER_ERROR = 300, 500
#: So often it has to come.
_AGAIN = 2


def is_server_error(exchange: Exchange) -> bool:
    """Whether a valid request was answered with a 500 that is no printed error."""
    return not exchange.call.expect_error and exchange.reason == _REFUSAL


def check_probe(exchange: Exchange) -> None:
    """Give a violation to the answer to a request that was to be refused, for something that no
    schema speaks of (its key, method or path), if it is an error of the server, or no error at all.
    """
    call, status = exchange.call, exchange.response.status
    probe = call.expect_error and call.broken_rule is None and call.scenario == "refusals"
    if not probe or status is None or exchange.judge.error_name is not None:
        return
    if status >= _SERVER_ERROR:
        message = f"a bad request was answered with a {status}"
        found = violation(call.contract, "http.server_error", "error/no_500", message)
    elif status < _REDIRECTION:
        message = f"a bad request was answered with a {status}, as if it were a good one"
        found = violation(call.contract, "http.status", "error/status", message)
        # Which status an error has is our reading; that there is one is not.
        found = replace(found, severity=Severity.ERROR)
    else:
        return
    exchange.found_later = [*exchange.found_later, found]


class ServerErrors:
    """The 500s of one contract check."""

    def __init__(self) -> None:
        self._answered: set[str] = set()
        self._of: defaultdict[tuple[str, str], list[Exchange]] = defaultdict(list)

    def seen(self, exchange: Exchange) -> list[Exchange]:
        """Take the next exchange. Where it shows that 500s come again, each of them gets its
        violation (`Exchange.found_later`); returns the earlier ones that just got theirs.
        """
        call = exchange.call
        api = call.contract.api
        if call.expect_error:
            return []
        if is_server_error(exchange):
            self._of[api, call.endpoint.name].append(exchange)
        elif exchange.response.status == _OK:
            self._answered.add(api)
        found = []
        if api in self._answered:
            for (of_api, _), errors in self._of.items():
                if of_api == api and len(errors) >= _AGAIN:
                    found += [each for each in errors if not each.found_later]
        for each in found:
            rule = f"{each.call.endpoint.name}/http/status"
            message = "a 500 came again and again, while other valid requests were answered"
            again = violation(each.call.contract, "http.server_error", rule, message)
            each.found_later = [*each.found_later, again]
        return [each for each in found if each is not exchange]
