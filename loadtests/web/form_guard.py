"""What stands before the web UI of Locust: who may ask, and what its form may set. Locust's own
answers any page that a browser shows (it allows every origin, CORS), under any name, and sets every
option that a form names.
"""

from __future__ import annotations

import argparse
import logging
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import flask
from locust import argument_parser
from locust.env import Environment
from locust.web import WebUI

from soundstage.loadtests.web.start_terms import terms_of
from soundstage.loadtests.web.wsgi_guard import guarded
from soundstage.output.cutting import head
from soundstage.untrusted.same_origin import Callers, authority, is_address, is_loopback

log = logging.getLogger("soundstage")

#: What Locust's form holds whatever the locustfile; all else in it are options of ours.
_FIELDS: Final = frozenset(
    {"user_count", "spawn_rate", "host", "run_time", "user_classes", "shape_class", "profile"}
)
_EVERYWHERE: Final = ("", "*", "0.0.0.0", "::")


#: What speaks against a test with these values of the form's fields, a sentence; None if nothing.
Objection = Callable[[Mapping[str, Any]], str | None]


def guard(environment: Environment, web_ui: WebUI, objection: Objection) -> None:
    """Let the web UI answer its users only, and its form set no more than it shows, to values with
    which a test can begin.
    """
    given = environment.parsed_options
    callers = Callers(_names(web_ui.host, given), links=True)
    assert web_ui.app is not None
    web_ui.app.wsgi_app = guarded(web_ui.app.wsgi_app, callers)  # type: ignore[method-assign,assignment]
    form = Form(environment, objection)
    # The options as they were added: by the alphabet, what belongs together would stand apart.
    web_ui.app.jinja_env.policies["json.dumps_kwargs"] = {"sort_keys": False}

    def check() -> flask.Response | None:
        endpoint = flask.request.endpoint
        if endpoint not in ("locust.swarm", "locust.update_user") or not _logged_in(web_ui):
            return None
        if endpoint == "locust.swarm":
            problem = form.problem(flask.request.form.lists())
        else:
            problem = form.problem_of_user(flask.request.get_json(force=True, silent=True))
        if problem is None:
            return None
        log.error("web UI: %s", problem)
        # As Locust refuses a form: its page shows the message.
        return flask.jsonify({"success": False, "message": problem, "host": environment.host})

    web_ui.app.before_request(check)
    if not is_loopback(web_ui.host):
        log.warning(
            "the web UI can be reached by other machines: whoever reaches it can spend the budget"
        )


def _names(host: str, given: Any) -> frozenset[str]:
    """Names that this machine's web UI goes by, beside addresses and `localhost`."""
    names = {each.lower() for each in allowed_names(given)}
    if host not in _EVERYWHERE and not is_address(host):
        names.add(host.lower())
    if not is_loopback(host):
        names.add(socket.gethostname().lower())
    if shown := getattr(given, "web_host_display_name", None):
        url = shown if "//" in shown else f"//{shown}"
        if (said := authority(urlsplit(url).netloc)) is not None:
            names.add(said[0])
    return frozenset(names)


def allowed_names(given: Any) -> Iterator[str]:
    """The names of `--soundstage-web-allow-host`, which may hold several with commas."""
    for text in getattr(given, "soundstage_web_allow_host", None) or ():
        yield from filter(None, (name.strip() for name in text.split(",")))


def _logged_in(web_ui: WebUI) -> bool:
    """With `--web-login` Locust sends others to its login page: they hear nothing from us."""
    if not web_ui.web_login:
        return True
    from flask_login import current_user

    return bool(current_user.is_authenticated)


class Form:
    """What the form of the web UI may set: what it shows, to values that the option takes and that
    `objection` has nothing against.
    """

    def __init__(self, environment: Environment, objection: Objection) -> None:
        self._environment = environment
        self._objection = objection
        own = argument_parser.default_args_dict()
        shown = argument_parser.get_parser().args_included_in_web_ui
        self._actions = {name: shown[name] for name in shown.keys() - own.keys()}

    def problem(self, fields: Iterable[tuple[str, list[str]]]) -> str | None:
        """What speaks against a form, a sentence; None if nothing does."""
        terms = terms_of(self._environment)
        options = vars(self._environment.parsed_options)
        asked: dict[str, Any] = {}
        for name, values in fields:
            if name == "host":
                # Locust takes these two out before it keeps the value.
                hosts = [each.replace("<", "").replace(">", "") for each in values]
                objections = (terms.objection(each) for each in hosts if each)
                if (objection := next(filter(None, objections), None)) is not None:
                    return objection
                asked[name] = hosts[0]
            elif name in self._actions:
                for value in values:
                    try:
                        # Of several Locust takes the first.
                        asked.setdefault(name, _read(self._actions[name], value))
                    except ValueError as error:
                        return f"{label(name)}: {error}"
            elif name in options and name not in _FIELDS:
                return f"{name} is set when Locust is started, not here"
        return self._objection(asked)

    def problem_of_user(self, settings: Any) -> str | None:
        """What speaks against the settings of a class of users, which Locust would give to the
        class whatever they are called, its methods too.
        """
        known = self._environment.available_user_classes or {}
        if not isinstance(settings, dict) or settings.get("user_class_name") not in [*known]:
            return "no class of users is called so"
        for name, value in settings.items():
            if name == "host":
                if not isinstance(value, str | None):
                    return "host: a text"
                objection = terms_of(self._environment).objection(value) if value else None
                if objection is not None:
                    return objection
            elif name in ("fixed_count", "weight"):
                if isinstance(value, bool) or not isinstance(value, int | None) or (value or 0) < 0:
                    return f"{name}: a whole number of 0 or more"
            elif name == "tasks":
                if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
                    return "tasks: a list of names"
            elif name != "user_class_name":
                return f"{name} is no setting of a class of users"
        return None


def label(name: str) -> str:
    """A field as the form labels it."""
    return name.replace("_", " ").title()


def _read(action: argparse.Action, value: str) -> Any:
    """A value as the command line reads it. Raises ValueError with what that would say."""
    read: Any = action.type or str
    try:
        parsed = read(value)
    except (argparse.ArgumentTypeError, TypeError, ValueError) as error:
        raise ValueError(str(error) or f"{head(value, 80)!r} is no value of it") from None
    if action.choices is not None and parsed not in action.choices:
        raise ValueError(f"{head(value, 80)!r} is none of {', '.join(map(str, action.choices))}")
    return parsed
