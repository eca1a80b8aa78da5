#!/usr/bin/env bash
# Two minutes of failures on three real brokers, and a judgement of what is left:
# nothing lost, nothing twice, nothing altered. The same SEED plays the same script.
#
#   deploy/dev/chaos.sh [go test flags…]
#
# SEED    which script                (default: another one each time)
# LENGTH  how long things go wrong    (default 2m)
# KAFKA_HOME, KAFKA_HEAP (here 384m): see kafka.sh. Needs Go, Java 17, redis-server and, once, Maven.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
length=${LENGTH:-2m}
nodes=3

fail() { printf 'chaos: %s\n' "$*" >&2; exit 1; }

need() { command -v "$1" >/dev/null || fail "$1 is missing: apt-get install $2 (or the like)"; }

need java default-jre-headless
need redis-server redis-server
compgen -G "${KAFKA_HOME:-$root/.cache/kafka}/kafka-tools-4*.jar" >/dev/null || need mvn maven

mkdir -p "$root/.cache"
work=$(mktemp -d "$root/.cache/chaos.XXXXXX")
finish() {
  local code=$?
  trap - EXIT INT TERM
  [ -n "${KAFKA_DATA:-}" ] && "$here/kafka.sh" stop
  if ((code == 0)); then
    rm -rf "$work"
  else
    echo "chaos: failed; play it again with SEED=$seed; logs of every process are in $work" >&2
  fi
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The first of two ports for each node that nothing listens on, below those that
# the kernel hands out to clients.
free_ports() {
  local port tries i
  for ((tries = 0; tries < 100; tries++)); do
    port=$((20000 + RANDOM % 12000))
    for ((i = 0; i < 2 * nodes; i++)); do
      (: <>"/dev/tcp/127.0.0.1/$((port + i))") 2>/dev/null && continue 2
    done
    echo "$port"
    return
  done
  fail "no free ports between 20000 and 32000"
}

"$here/kafka.sh" fetch
KAFKA_DATA=$work/kafka KAFKA_PORT=$(free_ports) KAFKA_HEAP=${KAFKA_HEAP:-384m}
export KAFKA_DATA KAFKA_PORT KAFKA_HEAP
kafka=$("$here/kafka.sh" start "$nodes")
echo "chaos: seed $seed, Kafka $kafka, logs in $work"
cd "$root"
CREDITSTREAM_BINARY=$root/bin/creditstream CREDITSTREAM_TEST_KAFKA=$kafka \
  CREDITSTREAM_CHAOS_SEED=$seed CREDITSTREAM_CHAOS_LENGTH=$length CREDITSTREAM_CHAOS_LOGS=$work \
  "${GO:-go}" test -count=1 -v -timeout 30m -tags chaos -run 'TestChaos$' "$@" ./apptest
