"""Which file of a contract's folder describes what: the requests and answers of its endpoints, and
the chunks of its stages.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Any

from soundstage.contract.protocol import Endpoint, Stage
from soundstage.contract.reading.folder import PROTOCOL


@dataclass(frozen=True, slots=True)
class ContractFiles:
    """Names of files, as the `protocol.json` says them that was read without complaint.
    `has_errors`: errors are described.
    """

    stages: dict[str, str]
    endpoints: dict[str, dict[str, Any]]
    has_errors: bool

    @classmethod
    def of(cls, folder: Traversable) -> ContractFiles:
        """Those of the contract in a folder."""
        data = json.loads(folder.joinpath(PROTOCOL).read_text("utf-8-sig"))
        return cls(
            {each["name"]: each["chunk"] for each in data.get("stages", ())},
            {each["name"]: each for each in data["endpoints"]},
            folder.joinpath("errors.json").is_file(),
        )

    def of_stage(self, stage: Stage) -> str:
        """The file of the chunks of a stage."""
        return self.stages[stage.name]

    def of_endpoint(self, endpoint: Endpoint, word: str) -> str:
        """The file of the "request" or the "response" of an endpoint."""
        return str(self.endpoints[endpoint.name].get(word, PROTOCOL))
