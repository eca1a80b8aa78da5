#!/usr/bin/env python3
"""Follow creditstream's decisions and keep each once in an SQLite table."""

import argparse
import json
import os
import signal
import sqlite3
import sys
from types import FrameType

from confluent_kafka import Consumer, KafkaError, KafkaException, Message

TABLE = """
CREATE TABLE IF NOT EXISTS decisions (
  source              TEXT PRIMARY KEY, -- which application record was decided
  application_id      TEXT NOT NULL,
  decided_at          TEXT NOT NULL,
  channel             TEXT NOT NULL,
  decision            TEXT NOT NULL,    -- approve, refer or decline
  default_probability REAL NOT NULL,
  points              INTEGER NOT NULL,
  reasons             TEXT NOT NULL,    -- JSON: code and contribution, largest first
  model_version       TEXT NOT NULL
)"""
INSERT = "INSERT INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (source) DO NOTHING"


def source(message: Message) -> str:
    """Name what was decided.

    The scorer says which application record it answers, and answers each once;
    that also holds where the topic was copied to another cluster with other
    offsets. A decision asked for over HTTP has no such record, so its own place
    must do.
    """
    headers = {name: value.decode() for name, value in message.headers() or [] if name.startswith("source-")}
    if headers:
        return f"{headers['source-topic']}/{headers['source-partition']}/{headers['source-offset']}"
    return f"{message.topic()}/{message.partition()}/{message.offset()}"


def row(message: Message) -> tuple[object, ...]:
    """Make a row of the table."""
    value = message.value()
    if value.startswith(b"\0"):
        raise ValueError("the value is Avro in the schema registry's framing; this example reads JSON")
    p = json.loads(value)
    return (
        source(message),
        p["application_id"],
        p["decided_at"],
        p["channel"],
        p["decision"],
        p["default_probability"],
        p["points"],
        json.dumps(p["reasons"]),
        p["model_version"],
    )


class Reader:
    """Moves decisions from a topic into a table until it is told to stop."""

    def __init__(self, brokers: str, topic: str, group: str, table: sqlite3.Connection) -> None:
        self.stopped = False
        self.said = ""
        self.topic = topic
        self.table = table
        self.table.execute(TABLE)
        self.consumer = Consumer(
            {
                "bootstrap.servers": brokers,
                "client.id": "example-python-read",
                "group.id": group,
                # librdkafka's default, but without it decisions that were taken
                # back would be among them.
                "isolation.level": "read_committed",
                # Offsets are committed once the rows are.
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",  # where the group has not been yet
                "enable.metrics.push": False,
                "log_level": 2,  # errors come to the callback below
                "error_cb": self.client_error,
            }
        )

    def client_error(self, error: KafkaError) -> None:
        """Say what the client tries again by itself, once; one broker away is no news."""
        if error.code() != KafkaError._TRANSPORT and error.str() != self.said:
            self.said = error.str()
            print(f"read.py: {self.said}", file=sys.stderr)

    def check(self) -> None:
        """Say early and once what the client would otherwise try for ever."""
        error = self.consumer.list_topics(self.topic, timeout=10).topics[self.topic].error
        if error is not None:
            raise KafkaException(error)

    def stop(self, _signal: int, _frame: FrameType | None) -> None:
        """Stop after the records at hand."""
        self.stopped = True

    def held(self) -> int:
        """Count the decisions that the table holds."""
        return self.table.execute("SELECT count(*) FROM decisions").fetchone()[0]

    def follow(self, count: int) -> None:
        """Keep decisions until a signal, or until the table holds so many."""
        self.consumer.subscribe([self.topic])
        while not self.stopped and (count == 0 or self.held() < count):
            messages = self.consumer.consume(500, timeout=0.5)
            for message in messages:
                if message.error() is not None:
                    raise KafkaException(message.error())
            if messages:
                self.keep(messages)

    def keep(self, messages: list[Message]) -> None:
        """Write rows, then tell Kafka how far this program is.

        A process that dies between the two gets the same decisions again, and the
        primary key knows them.
        """
        with self.table:  # one transaction
            for message in messages:
                try:
                    self.table.execute(INSERT, row(message))
                except (ValueError, KeyError) as error:
                    where = f"{message.topic()}/{message.partition()} offset {message.offset()}"
                    raise ValueError(f"{where}: {error}") from error
        try:
            self.consumer.commit(asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() == KafkaError._NO_OFFSET:
                return  # every partition was taken away meanwhile
            print(f"read.py: offsets were not committed: {error.args[0].str()}", file=sys.stderr)


def main() -> int:
    """Keep decisions until Ctrl-C."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument(
        "--brokers",
        default=os.environ.get("CREDITSTREAM_BROKERS", "127.0.0.1:9092"),
        help="host:port,… (CREDITSTREAM_BROKERS; default %(default)s)",
    )
    arguments.add_argument("--topic", default="credit.predictions", help="default %(default)s")
    arguments.add_argument(
        "--group", default="example-python-read", help="consumer group (default %(default)s)"
    )
    arguments.add_argument("--out", default="decisions.sqlite", help="SQLite file (default %(default)s)")
    arguments.add_argument("--count", type=int, default=0, help="stop at so many; 0: at Ctrl-C")
    given = arguments.parse_args()

    reader = Reader(given.brokers, given.topic, given.group, sqlite3.connect(given.out))
    failed = False
    signal.signal(signal.SIGINT, reader.stop)
    signal.signal(signal.SIGTERM, reader.stop)
    try:
        reader.check()
        reader.follow(given.count)
    except KafkaException as error:
        print(f"read.py: {given.topic} at {given.brokers}: {error.args[0].str()}", file=sys.stderr)
        failed = True
    except (ValueError, sqlite3.Error) as error:
        print(f"read.py: {error}", file=sys.stderr)
        failed = True
    finally:
        reader.consumer.close()  # leaves the group
    print(f"{given.out} holds {reader.held()} decisions", file=sys.stderr)
    reader.table.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
