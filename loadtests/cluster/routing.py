"""Brings messages of Locust's channel to the run that a runner has at the moment.

Locust takes one listener for each kind of message, for as long as a runner lives; a runner may have
one run after another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from locust.runners import DistributedRunner

#: Called with the kind of a message, its data, and the id of whoever sent it.
Heard = Callable[[str, Mapping[str, Any], str], None]

_heard: WeakKeyDictionary[DistributedRunner, Heard] = WeakKeyDictionary()


def route(runner: DistributedRunner, kinds: Iterable[str], heard: Heard) -> None:
    """Give messages of these kinds to `heard`, and no longer to whoever got them before. It is
    called in the greenlet that receives them all, and so must not wait for another one.
    """
    known = runner in _heard
    _heard[runner] = heard
    if known:
        return

    def listener(environment: Any, msg: Any) -> None:
        del environment
        _heard[runner](msg.type, msg.data or {}, msg.node_id)

    for kind in kinds:
        runner.register_message(kind, listener)
