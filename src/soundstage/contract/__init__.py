"""What is promised: the contracts, read from their data."""

from soundstage.contract.contract import Contract, available, load, load_all, load_sound

__all__ = ["Contract", "available", "load", "load_all", "load_sound"]
