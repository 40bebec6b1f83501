"""Nightly audits: scans that are remembered, and what each of them tells that the ones before did not."""
