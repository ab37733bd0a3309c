"""run.json says of a contract which milestones are the headline, so that no report needs it."""

from __future__ import annotations

from dataclasses import replace

from soundstage.contract import load
from soundstage.gate.milestone_facts import milestone_facts


def test_the_documented_versions_are_known_by_what_they_mark():
    facts = milestone_facts(load("v6"))
    assert facts["headlines"] == {
        "stream": ["streaming_ready", "audio", "complete"],
        "sync": ["complete"],
    }
    assert facts["titles"]["stream"] == {
        "streaming_ready": "TTSR",
        "streaming_ready_all": "TTSR, all tracks",
        "complete": "TTC",
    }
    assert milestone_facts(load("v5"))["headlines"] == {
        "stream": ["audio", "complete"],
        "sync": ["complete"],
    }


def test_milestones_stand_as_they_are_reached():
    assert milestone_facts(load("v6"))["milestones"]["stream"] == [
        "validated", "streaming_ready", "streaming_ready_all", "audio", "complete",
    ]  # fmt: skip


def test_a_result_is_complete_and_is_called_as_the_end_of_a_stream_is():
    facts = milestone_facts(load("v5"))
    assert facts["milestones"]["sync"] == ["complete"]
    assert facts["titles"]["sync"] == {"complete": "TTC"}


def test_where_a_contract_marks_none_all_are_the_headline():
    contract = load("v6")
    stages = tuple(
        replace(stage, milestones=tuple(replace(one, headline=False) for one in stage.milestones))
        for stage in contract.protocol.stages
    )
    protocol = replace(contract.protocol, stages=stages)
    stream = replace(contract.endpoints["stream"], protocol=protocol)
    bare = replace(contract, protocol=protocol, endpoints={**contract.endpoints, "stream": stream})
    facts = milestone_facts(bare)
    assert facts["headlines"]["stream"] == facts["milestones"]["stream"]
    assert facts["headlines"]["sync"] == ["complete"]
