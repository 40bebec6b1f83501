"""Reads a training log of any kind, size and encoding into `LogFacts`."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from .log_caffe import CaffeReader
from .log_facts import TEXT_CHARACTERS, LogFacts
from .log_lines import LogSource, open_log
from .log_other import OtherReader


def read_log(path: str | Path) -> LogFacts:
    """What a log says. Raises `OSError` where it can't be opened; a damaged end is `LogFacts.damage`."""
    with open_log(Path(path)) as stream:
        return read_stream(stream)


def read_stream(stream: BinaryIO) -> LogFacts:
    """The same of an opened one."""
    facts = LogFacts()
    other = OtherReader(facts)
    caffe = CaffeReader(facts, other.line)
    source = LogSource(stream)
    for block in source.blocks():
        if caffe.expects(block):
            caffe.feed(block)
            other.flush()
        else:
            other.feed(block)
        facts.lines = block.line - 1 + block.data.count(b"\n")
        note_last(facts, block.data)
    facts.damage, facts.terminated, facts.bytes_read = source.damage, source.terminated, source.bytes_read
    return facts


def note_last(facts: LogFacts, data: bytes) -> None:
    """Remember the last line that is not blank; runs end where the log does."""
    text = data.rstrip()
    if text:
        last = text[text.rfind(b"\n") + 1 :][:TEXT_CHARACTERS].decode("utf-8", "replace")
        line = facts.lines - data[len(text) :].count(b"\n") + 1
        facts.run.last_message = (line, last)
        facts.run.last_line = line
