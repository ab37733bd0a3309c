"""Who may use the admin API: on loopback whoever is on this machine, elsewhere nobody unless asked
for, and then only who has its token.

A browser is on this machine too, with whatever page it shows. So no page of another origin gets in:
not by a request across origins (there is no CORS here, and a request that says where it comes from
is held to it), nor by a name that was made to point here (DNS rebinding: on loopback, without a
token, the `Host` must be an address or `localhost`). The rules are those of `same_origin.py`;
a header that comes twice counts as the worse of both.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from starlette.types import Scope

from soundstage.emulator.http.asgi import bearer_key, is_json
from soundstage.emulator.http.connection import other_host_of
from soundstage.emulator.http.replies import Reply, plain
from soundstage.emulator.options import Options
from soundstage.errors import UsageError
from soundstage.untrusted.same_origin import Callers, is_address, is_loopback

#: The environment variable that may hold the token.
TOKEN_VARIABLE: Final = "SOUNDSTAGE_ADMIN_TOKEN"
_SHORTEST: Final = 16
_BODIED: Final = frozenset({"POST", "PUT", "PATCH"})


class Guard:
    """Raises UsageError where the admin API is asked for beyond loopback without a token."""

    def __init__(self, options: Options, environ: Mapping[str, str] = os.environ) -> None:
        self._token = _token(options.admin_token_file, environ)
        # A page cannot know the token, and whoever has it may call this machine as they like.
        self._callers = Callers(any_name=self._token is not None)
        self.on = options.on_loopback or options.admin
        if options.admin and not options.on_loopback and self._token is None:
            raise UsageError(
                f"--admin on {options.host}: give it a token of its own, by --admin-token-file or"
                f" {TOKEN_VARIABLE}"
            )

    def refuses(self, scope: Scope) -> Reply | None:
        """The answer to a request that may not use the admin API; None if it may."""
        headers = scope["headers"]
        named = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        if (other := other_host_of(scope)) is not None:
            named.append(("host", other.decode("latin-1")))
        if (why := self._callers.refusal(scope["method"], named)) is not None:
            return plain(403, why)
        if self._token is not None:
            given = bearer_key(headers) or ""
            if not secrets.compare_digest(given.encode(), self._token.encode()):
                answer = plain(401, "The admin API wants its token: Authorization: Bearer TOKEN")
                answer.headers.append((b"www-authenticate", b"Bearer"))
                return answer
        elif not _came_in_on_loopback(scope):
            return plain(403, "Beyond this machine the admin API wants a token of its own")
        if scope["method"] in _BODIED and not is_json(headers):
            return plain(415, "The request body must be application/json")
        return None


def _came_in_on_loopback(scope: Scope) -> bool:
    """Whether a connection is to an address of loopback, as the options say. Another server, which
    runs the application as its own, may listen elsewhere. A name is told in process only.
    """
    host = (scope.get("server") or ("",))[0] or ""
    return not is_address(host) or is_loopback(host)


def _token(file: Path | None, environ: Mapping[str, str]) -> str | None:
    if file is None:
        token, place = environ.get(TOKEN_VARIABLE, "").strip(), TOKEN_VARIABLE
        if not token:
            return None
    else:
        place = f"--admin-token-file {file}"
        try:
            token = file.read_text(encoding="ascii").strip()
        except OSError as error:
            raise UsageError(f"{place}: {error.strerror or error}") from error
        except UnicodeDecodeError:
            token = ""
    if (
        len(token) < _SHORTEST
        or bearer_key([(b"authorization", b"Bearer " + token.encode())]) is None
    ):
        raise UsageError(
            f"{place}: a token has at least {_SHORTEST} letters, digits and . _ ~ + / = -"
        )
    return token
