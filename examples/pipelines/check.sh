#!/bin/sh
# A step before training: stops the pipeline with the exit code of datascan, and keeps the reports.
set -eu
: "${DATA:=train_lmdb}"
: "${REPORTS:=reports}"
mkdir -p "$REPORTS"
datascan check "$DATA" --quiet --output "json=$REPORTS/report.json" --output "keys=$REPORTS/bad.txt"
