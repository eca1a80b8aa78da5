#!/usr/bin/env bash
# Measures POST /predict with wrk beside a bare handler and FastAPI with ONNX Runtime.
#
#   bench/http.sh [flags…]     (go run ./bench/http -help lists them)
#
# DATASET, KAFKA, KAFKA_HOME: see bench/with-kafka.sh. Needs wrk, bin/creditstream and .venv-bench (make bench-http makes both).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v wrk >/dev/null || { echo "bench-http: wrk is missing: apt-get install wrk (or the like)" >&2; exit 1; }
[ -n "${WORK:-}" ] || exec bench/with-kafka.sh bench/http.sh "$@"
go build -o "$WORK/answer" ./bench/answer
go build -o "$WORK/http" ./bench/http
"$WORK/http" -brokers "$KAFKA" -answer "$WORK/answer" -dataset "$DATASET" -logs "$WORK" "$@"
