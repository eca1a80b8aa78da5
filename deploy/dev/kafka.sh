#!/usr/bin/env bash
# A real Apache Kafka (KRaft, on loopback) without Docker, for tests and development.
#
#   deploy/dev/kafka.sh fetch           get the jars (Maven, 44 MiB)
#   deploy/dev/kafka.sh start [NODES]   format and start 1 (default) or 3 nodes; prints the bootstrap address
#   deploy/dev/kafka.sh kill N          SIGKILL node N
#   deploy/dev/kafka.sh resume N        start node N again on the data it has
#   deploy/dev/kafka.sh stop            stop every node
#   deploy/dev/kafka.sh acls ARGUMENTS  Kafka's own kafka-acls.sh
#
# KAFKA_HOME  where the jars are kept   (default .cache/kafka in the repository)
# KAFKA_DATA  logs, settings, pid files (default .cache/kafka-data)
# KAFKA_PORT  first of 2 ports per node (default 19092: broker, 19093: controller, 19094: node 2 …)
# KAFKA_HEAP  heap of each node         (default 1g)
# KAFKA_SECURE=1  SASL_SSL instead of PLAINTEXT, and ACLs that allow nothing by
#             themselves. Counts when the data is formatted. Mechanisms: SCRAM-SHA-512, SCRAM-SHA-256,
#             and OAUTHBEARER with unsigned tokens. In KAFKA_DATA/tls: ca.pem, ca.key, server.pem
#             and server.key (for localhost and 127.0.0.1), and password, that of the super user admin.
#             The users of docs/security.md (scorer, producer, view, …) are there, each with its password in
#             tls/users/NAME; what they may do is still to be granted, by its commands.
#
# Needs Java 17 or newer; fetch needs Maven too, KAFKA_SECURE openssl.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
home=${KAFKA_HOME:-$root/.cache/kafka}
data=${KAFKA_DATA:-$root/.cache/kafka-data}
port=${KAFKA_PORT:-19092}
heap=${KAFKA_HEAP:-1g}
secure=${KAFKA_SECURE:-}
principals=(scorer producer view api drift releaser operator reader) # creditstream topics acls names them

fail() { printf 'kafka.sh: %s\n' "$*" >&2; exit 1; }

broker_port() { echo $((port + 2 * ($1 - 1))); }
controller_port() { echo $((port + 2 * ($1 - 1) + 1)); }
node_count() { cat "$data/count" 2>/dev/null || echo 0; }
# Of an older version's jars the tools are missing.
have_jars() { compgen -G "$home/kafka_2.13-*.jar" >/dev/null && compgen -G "$home/kafka-tools-4*.jar" >/dev/null; }
java_run() { java -cp "$home/*" "$@"; }

# A pid file outlives its process and pids are used again, so the process must
# also be running on our settings file.
running() {
  local pid
  pid=$(cat "$data/node$1.pid" 2>/dev/null) || return 1
  tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF "$data/node$1.properties"
}

listening() { (: <>"/dev/tcp/127.0.0.1/$(broker_port "$1")") 2>/dev/null; }

settings() { # settings NODE NODES
  local node=$1 nodes=$2 voters="" i
  for ((i = 1; i <= nodes; i++)); do voters+="$i@127.0.0.1:$(controller_port "$i"),"; done
  cat <<END
process.roles=broker,controller
node.id=$node
controller.quorum.voters=${voters%,}
listeners=CLIENT://127.0.0.1:$(broker_port "$node"),CONTROLLER://127.0.0.1:$(controller_port "$node")
advertised.listeners=CLIENT://127.0.0.1:$(broker_port "$node")
listener.security.protocol.map=CLIENT:$([ -n "$secure" ] && echo SASL_SSL || echo PLAINTEXT),CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENT
controller.listener.names=CONTROLLER
log.dirs=$data/node$node
# creditstream topics apply creates topics; a typing mistake must not.
auto.create.topics.enable=false
default.replication.factor=$nodes
min.insync.replicas=$((nodes > 1 ? 2 : 1))
offsets.topic.replication.factor=$nodes
transaction.state.log.replication.factor=$nodes
transaction.state.log.min.isr=$((nodes > 1 ? 2 : 1))
# 50 partitions each by default, which take seconds to make and load.
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
# The first member of a new group waits 3 s by default.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# Groups of the consumer protocol as classic ones are here: a silent member is given
# up after 10 s instead of 45, and hears of its partitions within 1 s instead of 5.
group.consumer.session.timeout.ms=10000
group.consumer.min.session.timeout.ms=10000
group.consumer.heartbeat.interval.ms=1000
group.consumer.min.heartbeat.interval.ms=1000
num.network.threads=2
num.io.threads=4
END
  [ -z "$secure" ] || secure_settings
}

secure_settings() {
  local scram="org.apache.kafka.common.security.scram.ScramLoginModule required"
  local bearer=org.apache.kafka.common.security.oauthbearer
  cat <<END
ssl.keystore.type=PEM
ssl.keystore.location=$data/tls/keystore.pem
ssl.truststore.type=PEM
ssl.truststore.location=$data/tls/ca.pem
listener.name.client.ssl.client.auth=requested
sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,OAUTHBEARER
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.client.scram-sha-512.sasl.jaas.config=$scram username="admin" password="$(cat "$data/tls/password")";
listener.name.client.scram-sha-256.sasl.jaas.config=$scram;
listener.name.client.oauthbearer.sasl.jaas.config=$bearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";
# Takes a token's word for who it is: for tests only.
listener.name.client.oauthbearer.sasl.server.callback.handler.class=$bearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
# ANONYMOUS is who comes to the controller, on loopback; CLIENT lets nobody in without a login.
super.users=User:admin;User:ANONYMOUS
END
}

# An authority, a certificate for this machine, and the super user's password.
make_secrets() {
  [ -f "$data/tls/password" ] && return
  command -v openssl >/dev/null || fail "openssl is missing"
  local tls=$data/tls user
  (
    umask 077
    mkdir -p "$tls"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
      -subj "/CN=creditstream development" -keyout "$tls/ca.key" -out "$tls/ca.pem" \
      -addext keyUsage=critical,keyCertSign,cRLSign
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
      -keyout "$tls/server.key" -out "$tls/server.csr"
    openssl x509 -req -in "$tls/server.csr" -CA "$tls/ca.pem" -CAkey "$tls/ca.key" -CAcreateserial -days 365 \
      -extfile <(echo subjectAltName=DNS:localhost,IP:127.0.0.1) -out "$tls/server.pem"
    cat "$tls/server.key" "$tls/server.pem" >"$tls/keystore.pem"
    mkdir -p "$tls/users"
    for user in "${principals[@]}"; do openssl rand -hex 16 >"$tls/users/$user"; done
    openssl rand -hex 16 >"$tls/password"
  ) >"$data/tls.log" 2>&1 || { cat "$data/tls.log" >&2; fail "making certificates failed"; }
}

launch() {
  local pid tries
  running "$1" && return
  KAFKA_NODE=$1 setsid java -Xmx"$heap" -XX:+UseG1GC -Dlog4j2.configurationFile="$here/kafka-log4j2.yaml" \
    -cp "$home/*" kafka.Kafka "$data/node$1.properties" </dev/null >>"$data/node$1.log" 2>&1 &
  pid=$!
  echo "$pid" >"$data/node$1.pid"
  # Until it runs on its settings it is this script still.
  for ((tries = 0; tries < 200; tries++)); do
    running "$1" && return
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.05
  done
}

await() {
  local tries
  for ((tries = 0; tries < 900; tries++)); do
    listening "$1" && return
    running "$1" || { tail -n 20 "$data/node$1.log" >&2; fail "node $1 ended; its log is $data/node$1.log"; }
    sleep 0.1
  done
  fail "node $1 does not listen on 127.0.0.1:$(broker_port "$1")"
}

start() {
  local nodes=$1 node addresses=""
  command -v java >/dev/null || fail "java is missing: install a JRE, 17 or newer"
  compgen -G "$home/kafka_2.13-*.jar" >/dev/null || fail "no jars in $home; run: deploy/dev/kafka.sh fetch"
  local have
  have=$(node_count)
  ((have == 0 || have == nodes)) || fail "$data holds a cluster of $have; stop it and remove that folder"
  for ((node = 1; node <= nodes; node++)); do
    if ! running "$node" && listening "$node"; then
      fail "port $(broker_port "$node") is taken by another program; set KAFKA_PORT"
    fi
  done
  mkdir -p "$data"
  echo "$nodes" >"$data/count"
  local users=() user
  if [ -n "$secure" ]; then
    make_secrets
    users=(--add-scram "SCRAM-SHA-512=[name=admin,password=$(cat "$data/tls/password")]")
    for user in "${principals[@]}"; do
      users+=(--add-scram "SCRAM-SHA-512=[name=$user,password=$(cat "$data/tls/users/$user")]")
    done
  fi
  [ -f "$data/id" ] || java_run kafka.tools.StorageTool random-uuid >"$data/id" 2>/dev/null
  for ((node = 1; node <= nodes; node++)); do
    [ -d "$data/node$node" ] && continue
    mkdir -p "$data/node$node"
    settings "$node" "$nodes" >"$data/node$node.properties"
    java_run kafka.tools.StorageTool format -t "$(cat "$data/id")" -c "$data/node$node.properties" "${users[@]}" \
      >"$data/node$node.log" 2>&1 || { cat "$data/node$node.log" >&2; fail "formatting node $node failed"; }
  done
  for ((node = 1; node <= nodes; node++)); do launch "$node"; done
  for ((node = 1; node <= nodes; node++)); do
    await "$node"
    addresses+="127.0.0.1:$(broker_port "$node"),"
  done
  echo "${addresses%,}"
}

kill_node() {
  running "$1" || fail "node $1 does not run"
  kill -KILL "$(cat "$data/node$1.pid")"
  while running "$1" || listening "$1"; do sleep 0.05; done
}

stop() {
  local node tries
  for ((node = 1; node <= $(node_count); node++)); do
    running "$node" && kill -TERM "$(cat "$data/node$node.pid")"
  done
  # The last of three nodes has no controller left to ask for leave and would wait
  # for minutes, hence the SIGKILL after ten seconds.
  for ((node = 1; node <= $(node_count); node++)); do
    for ((tries = 0; tries < 100; tries++)); do running "$node" || break; sleep 0.1; done
    running "$node" && kill_node "$node"
  done
  true
}

case ${1:-} in
  fetch)
    have_jars && exit 0
    command -v mvn >/dev/null || fail "mvn is missing: install Maven"
    mvn -B -q -ntp -f "$here/kafka-pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$home" ;;
  start) start "${2:-1}" ;;
  kill) kill_node "${2:?node}" ;;
  resume) launch "${2:?node}"; await "$2" ;;
  stop) stop ;;
  acls) shift; java_run org.apache.kafka.tools.AclCommand "$@" ;;
  *) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
