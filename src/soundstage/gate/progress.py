"""What a gate tells while it works, to whoever shows it; by itself it tells nobody."""

from __future__ import annotations


class Progress:
    """Called by a gate from any of its threads. A view overrides what it shows."""

    def said(self, text: str) -> None:
        """Something that the user should know now, in one sentence."""
