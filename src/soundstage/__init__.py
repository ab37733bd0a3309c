"""Soundstage: contract tests and load benchmarks for a staged song-generation API."""

__version__ = "0.1.0"
