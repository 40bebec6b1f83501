"""Whatever a prototxt holds, judging it ends with findings, the same each time."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from datascan.scanner.finding import Finding
from datascan.scanner.training.net import DataFacts, SourceFacts, TopFacts, check_net, data_sources, outputs, read_net
from datascan.scanner.training.net_tables import KNOWN
from datascan.scanner.training.prototxt import parse
from datascan.scanner.training.schema import enum_numbers, fields_of
from datascan.scanner.training.schema_tables import ENUMS, MESSAGES

DROPOUT = """layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 } } }
layer { name: "l" type: "Dropout" bottom: "x" top: "x" loss_weight: nan dropout_param { dropout_ratio: RATIO } }
"""

NAMES = ("data", "label", "a", "b")
INTEGERS = st.one_of(st.integers(-3, 40), st.sampled_from([2**31 - 1, 2**32 - 1, -(2**31), 10**30]))
NUMBERS = st.sampled_from(["0", "1", "-1", "0.5", "2", "1e39", "nan", "inf", "-inf", "1e-30", "100000"])

FACTS = DataFacts(
    {
        "data": SourceFacts(
            {"data": TopFacts((3, 8, 9)), "label": TopFacts((), -1, 12, False)}, smallest=(4, 5), complete=True
        )
    },
    num_classes=5,
)


def value_of(type_name: str) -> st.SearchStrategy[str]:
    """A value of a type, mostly; sometimes of another."""
    if type_name in MESSAGES:
        return message_of(type_name).map(lambda body: f"{{ {body} }}")
    if type_name in ENUMS:
        return st.sampled_from([*enum_numbers(type_name), "7"])
    if type_name == "string":
        words = ["xavier", "gaussian", "constant", "uniform", "", *NAMES]
        return st.sampled_from(words).map(lambda word: f'"{word}"')
    if type_name == "bool":
        return st.sampled_from(["true", "false", "3"])
    return NUMBERS if type_name == "float" else INTEGERS.map(str)


@st.composite
def message_of(draw: st.DrawFn, type_name: str) -> str:
    """The inside of a message with some of its fields."""
    known = [name for name, kind in fields_of(type_name).items() if kind.name not in ("any", "NetParameter")]
    chosen = draw(st.lists(st.sampled_from(known), max_size=4))
    return " ".join(f"{name}: {draw(value_of(fields_of(type_name)[name].name))}" for name in chosen)


@st.composite
def layers(draw: st.DrawFn) -> str:
    """A layer of a known type with any of its parameters."""
    kind = draw(st.sampled_from([*sorted(KNOWN), "Strange"]))
    wiring = [
        f'{word}: "{name}"' for word in ("bottom", "top") for name in draw(st.lists(st.sampled_from(NAMES), max_size=3))
    ]
    params = [name for name in fields_of("LayerParameter") if name.endswith("_param")]
    own = [name for name in params if name.replace("_", "").startswith(kind.lower()[:6])] or params
    chosen = draw(st.lists(st.sampled_from(own), max_size=2))
    bodies = [
        f"{name} {{ {draw(message_of(kind_of))} }}"
        for name in chosen
        if (kind_of := fields_of("LayerParameter")[name].name) in MESSAGES
    ]
    return f'layer {{ name: "{draw(st.sampled_from(NAMES))}" type: "{kind}" {" ".join([*wiring, *bodies])} }}'


def judge(text: str) -> list[Finding]:
    message = parse(text)
    net = read_net(message)
    data_sources(net)
    outputs(net, FACTS)
    assert check_net(net) == check_net(message)
    return check_net(message, FACTS)


@given(st.lists(layers(), max_size=6))
def test_any_layers_are_judged(found: list[str]) -> None:
    text = 'layer { name: "data" type: "Data" top: "data" top: "label" }\n' + "\n".join(found)
    findings = judge(text)
    assert findings == judge(text)
    assert all(finding.location.line and finding.message for finding in findings)


@given(message_of("NetParameter"))
def test_any_fields_are_judged(text: str) -> None:
    judge(text)


@given(st.text(max_size=60))
def test_any_text_is_judged(text: str) -> None:
    judge(text)


def test_findings_are_json() -> None:
    text = DROPOUT.replace("RATIO", "nan")
    findings = check_net(parse(text))
    assert findings
    for finding in findings:
        json.dumps(finding.to_dict(), allow_nan=False)
