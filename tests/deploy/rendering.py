"""Renders or lints a Helm chart with Helm itself. Runs in an environment of its own: `make clients`.

Standard input: `{"chart": path, "values": {...}, "name": text, "namespace": text}`, or with `"lint": true`.
Standard output: `{"rendered": {template: text}}`, `{"found": [messages]}`, or `{"error": text}`.
"""

import json
import sys
from typing import Any

import helm_python as helm


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    try:
        if asked.get("lint"):
            report = helm.lint(asked["chart"], asked["values"], strict=True, kube_version="v1.30.0")
            return {"found": [*report["messages"], *report["errors"]]}
        with helm.Chart.load(asked["chart"]) as chart:
            chart.validate_schema(asked["values"])
            return {"rendered": chart.render(asked["values"], name=asked["name"], namespace=asked["namespace"])}
    except helm.HelmError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
