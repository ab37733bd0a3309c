"""Stands before a WSGI application that is open to this machine, whichever server runs it: who may
ask (`same_origin`), and that nobody else's page reads or frames the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from soundstage.untrusted.same_origin import Callers

Begin = Callable[..., Any]
Application = Callable[[dict[str, Any], Begin], Iterable[bytes]]

_ASKED: Final = ("host", "origin", "referer", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest")
#: No other page may show this one in a frame, where a click could be had by guile.
_FRAMES: Final = (
    ("X-Frame-Options", "SAMEORIGIN"),
    ("Content-Security-Policy", "frame-ancestors 'self'"),
)


def guarded(app: Application, callers: Callers) -> Application:
    """`app` (WSGI) for those only who may call it; no answer is for pages of other origins."""

    def answer(environ: dict[str, Any], begin: Begin) -> Iterable[bytes]:
        why = callers.refusal(environ["REQUEST_METHOD"], _headers(environ))
        if why is not None:
            said = f"{why}\n".encode()
            begin(
                "403 Forbidden",
                [("Content-Type", "text/plain"), ("Content-Length", str(len(said)))],
            )
            return [said]

        def begin_for_us(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            kept = [each for each in headers if not each[0].lower().startswith("access-control-")]
            return begin(status, [*kept, *_FRAMES], *more)

        return app(environ, begin_for_us)

    return answer


def _headers(environ: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in _ASKED:
        value = environ.get("HTTP_" + name.upper().replace("-", "_"))
        if value is not None:
            yield name, value
