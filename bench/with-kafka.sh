#!/usr/bin/env bash
# Runs a benchmark beside a real Kafka, which is stopped and removed at the end.
#
#   bench/with-kafka.sh COMMAND…
#
# The command finds KAFKA (its address), KAFKA_PID (its process), WORK (a folder of
# its own) and DATASET (an absolute path) in its environment.
#
# DATASET    the UCI CSV file            (default data/raw/UCI_Credit_Card.csv, see make data)
# KAFKA      a broker that runs already  (default: one is started on a free port); KAFKA_PID: its process, to count its CPU
# KAFKA_HOME, KAFKA_HEAP: see deploy/dev/kafka.sh. Needs Java 17 and Maven to start Kafka.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

fail() { printf 'bench: %s\n' "$*" >&2; exit 1; }

DATASET=${DATASET:-data/raw/UCI_Credit_Card.csv}
[ -f "$DATASET" ] || fail "no dataset at $DATASET: set DATASET=FILE to the UCI CSV file, or run: make data"
DATASET=$(realpath "$DATASET")

mkdir -p .cache
WORK=$(mktemp -d "$root/.cache/bench.XXXXXX")
finish() {
  local code=$?
  trap - EXIT INT TERM
  [ -n "${KAFKA_DATA:-}" ] && deploy/dev/kafka.sh stop
  if ((code == 0)); then
    rm -rf "$WORK"
  else
    rm -rf "$WORK/kafka"
    echo "bench: failed; the logs are in $WORK" >&2
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

if [ -z "${KAFKA:-}" ]; then
  deploy/dev/kafka.sh fetch
  KAFKA_DATA=$WORK/kafka KAFKA_PORT=$(free_port)
  export KAFKA_DATA KAFKA_PORT
  KAFKA=$(deploy/dev/kafka.sh start 1)
  KAFKA_PID=$(cat "$KAFKA_DATA/node1.pid")
else
  unset KAFKA_DATA # not ours to stop
fi
export DATASET WORK KAFKA KAFKA_PID=${KAFKA_PID:--1}
"$@"
