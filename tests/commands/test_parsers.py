"""Every command hands its parser out without parsing anything (`cli.parsers`)."""

from __future__ import annotations

import pytest

from soundstage import cli
from soundstage.arguments import Parser

PARSERS = dict(cli.parsers())


def test_every_command_gives_its_parser():
    assert list(PARSERS) == list(cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_a_parser_is_named_as_its_command(name):
    parser = PARSERS[name]
    assert isinstance(parser, Parser)
    assert parser.prog == f"soundstage {name}"
