// Package apptest tests the built binary from outside: its processes, on an
// embedded or a real Kafka and Redis, judged by what they leave on topics and in
// Redis. It knows the wire contract and nothing of the code behind it.
//
// CREDITSTREAM_BINARY names the binary; without it, it is built. With -short, which
// make test says, only what no other test would catch is played: processes that are
// killed, signals, pipes, several components in one process, a demo and its child.
// make test-app plays everything. The tests of a real Kafka are behind the build tag kafka: make test-kafka. Failures played by a
// seed on three brokers are behind the tag chaos: make chaos-short. Those of the
// page, in a headless browser, are behind the tag browser: make test-browser.
package apptest
