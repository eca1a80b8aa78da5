#!/usr/bin/env python3
"""Hand credit applications to creditstream: one JSON object a line, each to the applications topic."""

import argparse
import json
import os
import signal
import sys
from datetime import UTC, datetime

from confluent_kafka import KafkaError, KafkaException, Message, Producer

FEATURES = (
    *("limit_bal", "sex", "education", "marriage", "age"),
    *("pay_0", "pay_2", "pay_3", "pay_4", "pay_5", "pay_6"),
    *(f"bill_amt{month}" for month in range(1, 7)),
    *(f"pay_amt{month}" for month in range(1, 7)),
)


def parse(line: str) -> tuple[bytes, bytes]:
    """Make key and value of the record for one line.

    What is not looked at here, the ranges, the scorer does: an application that
    breaks a rule goes to the dead letters.
    """
    application = json.loads(line)
    identity = application.get("application_id") if isinstance(application, dict) else None
    key = identity.encode() if isinstance(identity, str) else b""
    if not 1 <= len(key) <= 128:
        raise ValueError(f"application_id {identity!r}: expected 1 to 128 bytes of UTF-8")
    features = application.get("features")
    if not isinstance(features, dict):
        raise ValueError(f"application {identity}: features: expected an object")
    for name in FEATURES:
        if name not in features:
            raise ValueError(f"application {identity}: {name} is absent; what is not known is null")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    application.setdefault("applied_at", now)
    return key, json.dumps(application, ensure_ascii=False).encode()


class Emitter:
    """Writes applications and counts what Kafka has acknowledged."""

    def __init__(self, brokers: str, topic: str) -> None:
        self.topic = topic
        self.acknowledged = 0
        self.failures = 0
        self.said = ""
        self.producer = Producer(
            {
                "bootstrap.servers": brokers,
                "client.id": "example-python-emit",
                # An application_id belongs to one partition, whoever writes it.
                # librdkafka would hash with CRC32; murmur2 is what Kafka's own
                # client does.
                "partitioner": "murmur2_random",
                # All replicas acknowledge, and a retry does not write a record
                # twice. A program that is started again on the same input does:
                # those applications are decided twice.
                "enable.idempotence": True,
                "acks": "all",
                # Five minutes by default before a record is given up.
                "message.timeout.ms": 30_000,
                "enable.metrics.push": False,
                "log_level": 2,  # errors come to the callback below
            },
            error_cb=self.client_error,
        )

    def check(self) -> None:
        """Say early and once what the client would otherwise try for a while."""
        error = self.producer.list_topics(self.topic, timeout=10).topics[self.topic].error
        if error is not None:
            raise KafkaException(error)

    def client_error(self, error: KafkaError) -> None:
        """Say what the client tries again by itself, once; one broker away is no news."""
        if error.code() != KafkaError._TRANSPORT and error.str() != self.said:
            self.said = error.str()
            print(f"emit.py: {self.said}", file=sys.stderr)

    def delivered(self, error: KafkaError | None, message: Message) -> None:
        """Count a record that was acknowledged, or given up."""
        key = message.key().decode()
        if error is None:
            self.acknowledged += 1
            print(f"{key}\t{message.topic()}/{message.partition()}/{message.offset()}", flush=True)
        else:
            self.failures += 1
            print(f"emit.py: application {key} was not acknowledged: {error.str()}", file=sys.stderr)

    def emit(self, key: bytes, value: bytes) -> None:
        """Hand a record to the client; wait while its queue is full."""
        while True:
            try:
                self.producer.produce(self.topic, value, key, on_delivery=self.delivered)
                break
            except BufferError:
                self.producer.poll(0.1)
        self.producer.poll(0)  # delivery reports come from here

    def finish(self) -> None:
        """Wait until every record is acknowledged or given up."""
        while self.producer.flush(1.0) > 0:
            pass


def interrupt(*_: object) -> None:
    """SIGTERM is Ctrl-C."""
    raise KeyboardInterrupt


def main() -> int:
    """Emit the applications of a file or of standard input."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument(
        "file",
        nargs="?",
        type=argparse.FileType("r", encoding="utf-8"),
        default="-",
        help="JSON lines (default: standard input)",
    )
    arguments.add_argument(
        "--brokers",
        default=os.environ.get("CREDITSTREAM_BROKERS", "127.0.0.1:9092"),
        help="host:port,… (CREDITSTREAM_BROKERS; default %(default)s)",
    )
    arguments.add_argument("--topic", default="credit.applications", help="default %(default)s")
    given = arguments.parse_args()
    signal.signal(signal.SIGTERM, interrupt)

    emitter, wrong = Emitter(given.brokers, given.topic), False
    try:
        emitter.check()
    except KafkaException as error:
        print(f"emit.py: {given.topic} at {given.brokers}: {error.args[0].str()}", file=sys.stderr)
        return 1
    try:
        for number, line in enumerate(given.file, start=1):
            if line.strip():
                try:
                    emitter.emit(*parse(line))
                except (ValueError, KafkaException) as error:
                    print(f"emit.py: line {number}: {error}", file=sys.stderr)
                    wrong = True
                    break
    except KeyboardInterrupt:
        pass  # what was begun is finished
    try:
        emitter.finish()
    except KeyboardInterrupt:
        print("emit.py: interrupted; not every application was acknowledged", file=sys.stderr)
        wrong = True
    print(f"emitted {emitter.acknowledged} applications to {given.topic}", file=sys.stderr)
    return 1 if wrong or emitter.failures else 0


if __name__ == "__main__":
    sys.exit(main())
