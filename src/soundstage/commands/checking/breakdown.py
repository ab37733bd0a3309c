"""Notices what breaks the checks themselves, which pytest would count as failures or interruptions.

An import that fails, memory that runs out, an error in a hook: none of them says anything about a
contract.
"""

from __future__ import annotations

from typing import Any, Literal

import pytest

from soundstage.errors import environment_reason
from soundstage.process import signals


class Breakdown:
    """A plugin. `error` is what went wrong; None if nothing did."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Literal[True]:
        self.error = self.error or excinfo.value
        return True  # said by whoever asks for `error`, in one line

    def pytest_exception_interact(self, node: Any, call: pytest.CallInfo[Any]) -> None:
        assert call.excinfo is not None
        error = call.excinfo.value
        collecting = not isinstance(node, pytest.Item)
        if collecting:
            error = error.__cause__ or error
        if collecting or environment_reason(error) is not None:
            self.error = self.error or error
            node.session.shouldstop = "the checks cannot run"

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Nothing is sent, and billed, for checks that cannot run. Of a signal that came while a
        module was imported pytest makes an error of that module.
        """
        self._stop_if_told()
        if self.error is not None:
            raise session.Interrupted("the checks cannot run")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        self._stop_if_told()

    @staticmethod
    def _stop_if_told() -> None:
        if signals.heard() is not None:
            raise signals.Stopped
