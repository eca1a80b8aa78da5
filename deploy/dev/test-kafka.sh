#!/usr/bin/env bash
# Tests the binary as separate processes on a real Apache Kafka and Redis.
#
#   deploy/dev/test-kafka.sh [go test flags…]
#
# DATASET  the UCI CSV file             (default data/raw/UCI_Credit_Card.csv, see make data)
# TRAINED  a bundle of make train, taken from release to champion and back (default: a rewritten copy of the shipped one)
# KAFKA    brokers that run already     (default: one is started on free ports and stopped at the end)
# REDIS    a Redis that runs already    (default: likewise)
# KAFKA_HOME, KAFKA_HEAP: see kafka.sh. Needs Go; to start Kafka, Java 17, Maven and openssl; to start Redis, redis-server.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

fail() { printf 'test-kafka: %s\n' "$*" >&2; exit 1; }

need() { # need PROGRAM PACKAGE INSTEAD
  command -v "$1" >/dev/null || fail "$1 is missing: apt-get install $2 (or the like), or set $3 to one that runs already (docker compose up -d --wait kafka redis starts both)"
}

dataset=${DATASET:-$root/data/raw/UCI_Credit_Card.csv}
[ -f "$dataset" ] || fail "no dataset at $dataset: set DATASET=FILE to the UCI CSV file, or run: make data"
dataset=$(realpath "$dataset")
trained=${TRAINED:-}
if [ -n "$trained" ]; then
  [ -f "$trained" ] || fail "no bundle at $trained: TRAINED names what make train wrote, dist/VERSION/VERSION.bundle"
  trained=$(realpath "$trained")
fi
if [ -z "${KAFKA:-}" ]; then
  need java default-jre-headless KAFKA
  need openssl openssl KAFKA
  need redis-server redis-server KAFKA
  compgen -G "${KAFKA_HOME:-$root/.cache/kafka}/kafka-tools-4*.jar" >/dev/null || need mvn maven KAFKA
fi
[ -n "${REDIS:-}" ] || need redis-server redis-server REDIS

mkdir -p "$root/.cache"
work=$(mktemp -d "$root/.cache/test-kafka.XXXXXX")
redis_pid=
finish() {
  local code=$?
  trap - EXIT INT TERM
  if [ -n "$redis_pid" ] && kill "$redis_pid" 2>/dev/null; then wait "$redis_pid" || true; fi
  [ -n "${KAFKA_DATA:-}" ] && "$here/kafka.sh" stop
  if ((code == 0)); then
    rm -rf "$work"
  else
    echo "test-kafka: failed; the logs of Kafka and Redis are in $work" >&2
  fi
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A port that nothing listens on, nor on the next, which Kafka's controller takes;
# below those that the kernel hands out to clients.
free_port() {
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
  "$here/kafka.sh" fetch
  KAFKA_DATA=$work/kafka KAFKA_PORT=$(free_port)
  export KAFKA_DATA KAFKA_PORT
  KAFKA=$("$here/kafka.sh" start 1)
else
  unset KAFKA_DATA # not ours to stop
fi
if [ -z "${REDIS:-}" ]; then
  port=$(free_port)
  redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --dir "$work" >"$work/redis.log" 2>&1 &
  redis_pid=$!
  for ((tries = 0; tries < 100; tries++)); do
    (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    kill -0 "$redis_pid" 2>/dev/null || { cat "$work/redis.log" >&2; fail "redis-server ended"; }
    sleep 0.1
  done
  REDIS=127.0.0.1:$port
fi
echo "test-kafka: Kafka $KAFKA, Redis $REDIS, logs in $work"
echo "test-kafka: a model's life is that of ${trained:-a rewritten copy of the shipped bundle}"
cd "$root"
skip=
if [ -z "${KAFKA_DATA:-}" ]; then
  skip='Secured|Damaged'
  echo "test-kafka: what starts a secured Kafka of its own or damages a broker's log is left out; leave KAFKA unset for it" >&2
fi
DATASET=$dataset CREDITSTREAM_TEST_TRAINED=$trained CREDITSTREAM_BINARY=$root/bin/creditstream \
  CREDITSTREAM_TEST_KAFKA=$KAFKA CREDITSTREAM_TEST_REDIS=$REDIS \
  "${GO:-go}" test -count=1 -tags kafka -timeout 30m -run 'OnKafka$' ${skip:+-skip "$skip"} "$@" ./apptest
