#!/usr/bin/env bash
# Measures the stream on a real Kafka beside a copy that scores nothing and a scorer in Python.
#
#   bench/stream.sh [flags of bench/stream…]     (go run ./bench/stream -help lists them)
#
# DATASET  the UCI CSV file          (default data/raw/UCI_Credit_Card.csv, see make data)
# KAFKA    a broker that runs already (default: one is started on a free port and stopped at the end)
# KAFKA_PID  its process, to count its CPU
# KAFKA_HOME, KAFKA_HEAP: see deploy/dev/kafka.sh. Needs Go and uv; to start Kafka, Java 17 and Maven.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/.." && pwd)
cd "$root"

fail() { printf 'bench-stream: %s\n' "$*" >&2; exit 1; }

dataset=${DATASET:-data/raw/UCI_Credit_Card.csv}
[ -f "$dataset" ] || fail "no dataset at $dataset: set DATASET=FILE to the UCI CSV file, or run: make data"

mkdir -p .cache
work=$(mktemp -d "$root/.cache/bench-stream.XXXXXX")
finish() {
  local code=$?
  trap - EXIT INT TERM
  [ -n "${KAFKA_DATA:-}" ] && deploy/dev/kafka.sh stop
  if ((code == 0)); then
    rm -rf "$work"
  else
    echo "bench-stream: failed; the logs are in $work" >&2
  fi
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

free_port() { # that nothing listens on, nor on the next, which Kafka's controller takes
  local port tries
  for ((tries = 0; tries < 100; tries++)); do
    port=$((20000 + RANDOM % 12000))
    (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && continue
    (: <>"/dev/tcp/127.0.0.1/$((port + 1))") 2>/dev/null && continue
    echo "$port"
    return
  done
  fail "no free port between 20000 and 32000"
}

go build -o "$work/copy" ./bench/copy
go build -o "$work/stream" ./bench/stream
if [ -z "${KAFKA:-}" ]; then
  deploy/dev/kafka.sh fetch
  KAFKA_DATA=$work/kafka KAFKA_PORT=$(free_port)
  export KAFKA_DATA KAFKA_PORT
  KAFKA=$(deploy/dev/kafka.sh start 1)
  KAFKA_PID=$(cat "$KAFKA_DATA/node1.pid")
else
  unset KAFKA_DATA # not ours to stop
fi
"$work/stream" -brokers "$KAFKA" -broker-pid "${KAFKA_PID:--1}" -copy "$work/copy" -dataset "$dataset" -logs "$work" "$@"
