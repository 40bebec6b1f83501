"""Net files for the tests: facts in their first line, and small nets around one layer."""

from __future__ import annotations

import re
from pathlib import Path

from datascan.scanner.finding import Finding
from datascan.scanner.training.net import DataFacts, SourceFacts, TopFacts, check_net
from datascan.scanner.training.prototxt import parse

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "training" / "nets"

DATA = """layer { name: "data" type: "Data" top: "data" top: "label"
  data_param { source: "train_lmdb" batch_size: 16 backend: LMDB } }
"""

SCORES = """layer { name: "scores" type: "InnerProduct" bottom: "BOTTOM" top: "scores"
  inner_product_param { num_output: 10 weight_filler { type: "xavier" } } }
"""

LOSS = """layer { name: "loss" type: "SoftmaxWithLoss" bottom: "BOTTOM" bottom: "label" top: "loss" }
"""


def facts_of(text: str) -> DataFacts:
    """What a first line such as ``# data 3x32x32, labels 0 9, label 10`` says of the data."""
    head = text.partition("\n")[0]
    shape = re.search(r"data ([\dx]+)", head)
    labels = re.search(r"labels ([-\d ]+)", head)
    row = re.search(r"label (\d+)", head)
    if not head.startswith("#"):
        return DataFacts()
    numbers = frozenset(float(word) for word in labels[1].split()) if labels else frozenset()
    tops = {
        "data": TopFacts(tuple(int(size) for size in shape[1].split("x")) if shape else None),
        "label": TopFacts((int(row[1]),) if row else None, min(numbers, default=None), max(numbers, default=None)),
    }
    if numbers:
        tops["label"] = TopFacts(tops["label"].shape, min(numbers), max(numbers), True, numbers)
    return DataFacts({"data": SourceFacts(tops)})


def around(*layers: str, bottom: str = "middle", facts: DataFacts | None = None) -> list[Finding]:
    """Findings of a net of data, scores, these layers and a loss over ``bottom``.

    The layers start at line 5, one for each line of theirs.
    """
    text = DATA + SCORES.replace("BOTTOM", "data") + "".join(layers) + "\n" + LOSS.replace("BOTTOM", bottom)
    return check_net(parse(text), facts)


def brief(findings: list[Finding]) -> list[tuple[str, str, int | None]]:
    """Severity's first letter, rule and line of each finding."""
    return [(finding.severity.value[0], finding.rule, finding.location.line) for finding in findings]
