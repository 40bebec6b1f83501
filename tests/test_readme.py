"""The README shows what the program prints today; ``DATASCAN_REWRITE_GOLDEN=1`` writes it anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from datascan.backends import BACKENDS
from datascan.scanner.__main__ import main
from datascan.scanner.cli import COMMANDS
from datascan.scanner.cli.names import all_rules
from datascan.scanner.demo import run_demo
from datascan.scanner.layouts import LAYOUTS
from datascan.scanner.rules import RULES

README = Path(__file__).resolve().parent.parent / "README.md"
REWRITE = os.environ.get("DATASCAN_REWRITE_GOLDEN") == "1"
SHOWN = ("image-truncated", "label-negative", "record-key-gap")
"""Rules of the example: enough to see what a report is like."""


def hold(name: str, body: str) -> None:
    """The block of that name in the README is this text."""
    text = README.read_text(encoding="utf-8")
    pattern = re.compile(f"(<!-- generated: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    wanted = pattern.sub(lambda match: match[1] + body + match[2], text)
    assert pattern.search(text)
    if REWRITE:
        README.write_text(wanted, encoding="utf-8")
    assert README.read_text(encoding="utf-8") == wanted


def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    main(list(argv))
    return capsys.readouterr().out


def test_the_example_is_what_a_scan_prints(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_demo(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    out = printed(capsys, "check", "photos_lmdb", "--select", ",".join(SHOWN))
    out = "".join(line for line in out.splitlines(keepends=True) if not line.startswith("  scan"))
    cut, names = out.index("labels  "), ",".join(SHOWN)
    hold("example", f"```console\n$ datascan check photos_lmdb --select {names}\n{out[:cut].rstrip()}\n```\n")


def test_the_table_of_rules_is_made_from_their_pages() -> None:
    rows = []
    for rule in RULES:
        text = re.sub(r"\s+", " ", (rule.__doc__ or "").split("## What it does")[1].split("##")[0]).strip()
        first = re.split(r"(?<=\.)\s", text)[0]
        rows.append(f"| `{rule.name}` | {rule.severity.value} | {first} |\n")
    hold("rules", "| rule | severity | what it does |\n|---|---|---|\n" + "".join(rows))


def test_the_help_is_what_the_program_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    parts = []
    for command in ((), ("check",)):
        call = " ".join(["datascan", *command, "--help"])
        parts.append(f"```console\n$ {call}\n{printed(capsys, *command, '--help').rstrip()}\n```\n")
    hold("help", "\n".join(parts))


@pytest.mark.parametrize("name", [*BACKENDS.own, *LAYOUTS.own, *(f"datascan {command}" for command in COMMANDS)])
def test_every_backend_layout_and_command_is_mentioned(name: str) -> None:
    assert name in README.read_text(encoding="utf-8").lower()


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: str(rule.name))
def test_a_rule_s_page_names_only_commands_that_exist(rule: type) -> None:
    named = set(re.findall(r"datascan ([a-z]+)", rule.__doc__ or ""))
    assert named <= set(COMMANDS)
