"""Engines: what scans partitions in place of this machine's own workers. Any `concurrent.futures.Executor` is one."""

from __future__ import annotations

from .base import Engine, EngineError
from .choose import engine_named, open_engine, run_on

__all__ = ["Engine", "EngineError", "engine_named", "open_engine", "run_on"]
