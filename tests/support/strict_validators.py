"""Ajv 8 in its default, strict mode: what many CI jobs hold documents against schemas with."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

PUBLISHED = Path(__file__).parents[1] / "published"
needs_ajv = pytest.mark.skipif(
    not (PUBLISHED / "node_modules" / ".installed").exists(),
    reason="needs npm: make test installs the validator",
)
_SCRIPT = """
const Ajv = require("ajv/dist/2020");
const { schema, values } = JSON.parse(require("fs").readFileSync(0));
const said = [];
const tell = (...what) => said.push(what.join(" "));
const verdicts = {};
try {
  const ajv = new Ajv({ logger: { log: tell, warn: tell, error: tell } });
  ajv.addSchema(schema, "all");
  for (const name of Object.keys(schema.$defs)) {
    const validate = ajv.compile({ $ref: "all#/$defs/" + encodeURIComponent(name) });
    verdicts[name] = (values[name] || []).map((value) => validate(value));
  }
} catch (error) {
  tell(String(error));
}
console.log(JSON.stringify({ said, verdicts }));
"""


def ajv(
    schema: dict[str, Any], values: dict[str, list[Any]] | None = None
) -> tuple[list[str], dict[str, list[bool]]]:
    """What Ajv complains of when it compiles every definition of `schema`, and whether it takes
    these values of each.
    """
    asked = json.dumps({"schema": schema, "values": values or {}})
    ran = subprocess.run(
        ["node", "-e", _SCRIPT],
        input=asked,
        capture_output=True,
        text=True,
        cwd=PUBLISHED,
        timeout=60,
        check=True,
    )
    answer = json.loads(ran.stdout)
    return answer["said"], answer["verdicts"]
