#!/usr/bin/env bash
# Measures the stream on a real Kafka beside a copy that scores nothing and a scorer in Python.
#
#   bench/stream.sh [flags…]     (go run ./bench/stream -help lists them)
#
# DATASET, KAFKA, KAFKA_HOME: see bench/with-kafka.sh. Needs bin/creditstream and .venv-bench (make bench-stream makes both).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -n "${WORK:-}" ] || exec bench/with-kafka.sh bench/stream.sh "$@"
go build -o "$WORK/copy" ./bench/copy
go build -o "$WORK/stream" ./bench/stream
"$WORK/stream" -brokers "$KAFKA" -broker-pid "$KAFKA_PID" -copy "$WORK/copy" -dataset "$DATASET" -logs "$WORK" "$@"
