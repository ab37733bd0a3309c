"""Edits of contracts and of the v6 stream, and what is said of them to the letter."""

from __future__ import annotations

import json
from dataclasses import replace

from soundstage.contract.rules import rule_book


def changed(contract, endpoints=None, stages=(), **protocol):
    """A copy of a contract: other parts of its protocol, and fields of stages by their name."""
    stages = dict(stages)
    old = replace(contract.protocol, **protocol)
    new = tuple(replace(each, **stages.get(each.name, {})) for each in old.stages)
    made = replace(old, stages=new, by_name={each.name: each for each in new})
    held = contract.endpoints if endpoints is None else endpoints
    held = {
        name: replace(each, protocol=made) if each.protocol is contract.protocol else each
        for name, each in held.items()
    }
    rules = rule_book(contract.api, held, made, contract.errors, contract.hosts)
    return replace(contract, endpoints=held, protocol=made, rules=rules)


def encoded(chunk):
    return chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode()


def exact(check):
    """All violations but the one that every printed v6 stream has."""
    return [
        (each.code, each.chunk, each.path, each.message, each.rule.split("/", 2)[2])
        for each in check.violations
        if each.code != "stream.not_closed"
    ]


# --- edits of the v6 stream; its chunks by place: 0 initializing, 1 validated, 2 streaming,
# 3 processing, 4 and 5 running, 6 and 7 streaming_ready (tracks 1, 2), 8 completed, 9 uploading 1,
# 10 final 1, 11 uploading 2, 12 final 2


def put(place, **fields):
    return lambda song: song[place].update(fields)


def drop(place, field):
    return lambda song: song[place].pop(field)


def numbered(song):
    for number, chunk in enumerate(song):
        chunk["chunkIndex"] = number


def without(*places):
    def edit(song):
        song[:] = [chunk for number, chunk in enumerate(song) if number not in places]
        numbered(song)

    return edit


def again(place, at, **fields):
    """The chunk of a place once more at another."""

    def edit(song):
        song.insert(at, {**song[place], **fields})
        numbered(song)

    return edit


def swapped(one, other):
    def edit(song):
        song[one], song[other] = song[other], song[one]
        numbered(song)

    return edit


def raw(place, data):
    return lambda song: song.__setitem__(place, data)


def index_as(place, text):
    """The index of a chunk as it is written."""

    def edit(song):
        song[place]["chunkIndex"] = "HERE"
        song[place] = encoded(song[place]).replace(b'"HERE"', text)

    return edit


def shifted(first, by):
    def edit(song):
        for chunk in song[first:]:
            chunk["chunkIndex"] += by

    return edit
