"""Score applications exactly once with confluent-kafka and ONNX Runtime.

What a careful team would write in Python: one transaction per batch holds the predictions and the
offsets, orjson reads and writes, one ONNX Runtime call scores the whole batch. It gives no reasons and
checks nothing but that every feature is there.
"""

import argparse
import signal
import zipfile
from datetime import UTC, datetime
from operator import itemgetter

import numpy as np
import onnxruntime
import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

FEATURES = itemgetter(
    *["limit_bal", "sex", "education", "marriage", "age"],
    *[f"pay_{i}" for i in (0, 2, 3, 4, 5, 6)],
    *[f"bill_amt{i}" for i in range(1, 7)],
    *[f"pay_amt{i}" for i in range(1, 7)],
)


def open_model(bundle: str) -> onnxruntime.InferenceSession:
    """Open a bundle's graph; one thread, for the client's own threads need the other core."""
    with zipfile.ZipFile(bundle) as archive:
        graph = archive.read("model.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def decide(model: onnxruntime.InferenceSession, messages: list) -> list[dict]:
    """Score messages in one call and return what is to be written, a dict each."""
    applications = [orjson.loads(m.value()) for m in messages]
    # None becomes NaN.
    rows = np.array([FEATURES(a["features"]) for a in applications], dtype=np.float32)
    probabilities = model.run(["probabilities"], {"features": rows})[0][:, 1].tolist()
    decided_at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    out = []
    for message, a, p in zip(messages, applications, probabilities, strict=True):
        value = {
            "application_id": a["application_id"],
            "applied_at": a["applied_at"],
            "decided_at": decided_at,
            "default_probability": p,
            "default_prediction": int(p >= 0.5),
            "decision": "approve" if p < 0.2 else "decline" if p >= 0.45 else "refer",
            "features": a["features"],
        }
        out.append({"key": message.key(), "value": orjson.dumps(value)})
    return out


def main() -> None:
    """Score until SIGTERM."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--brokers", default="127.0.0.1:9092")
    p.add_argument("--from", dest="source", required=True, help="topic of applications")
    p.add_argument("--to", required=True, help="topic of predictions")
    p.add_argument("--group", default="python", help="consumer group and transactional id")
    p.add_argument("--start", choices=["start", "end"], default="start", help="where a new group begins")
    p.add_argument("--batch", type=int, default=10_000, help="most applications in one transaction")
    p.add_argument("--bundle", required=True, help="model bundle")
    args = p.parse_args()

    model = open_model(args.bundle)
    consumer = Consumer(
        {
            "bootstrap.servers": args.brokers,
            "group.id": args.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest" if args.start == "start" else "latest",
            "isolation.level": "read_committed",
            "session.timeout.ms": 10_000,
            "heartbeat.interval.ms": 1_000,
            "fetch.wait.max.ms": 500,
            # Enough is read ahead for the next batch to be there when one is done.
            "queued.min.messages": 200_000,
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": args.brokers,
            "transactional.id": args.group,
            "transaction.timeout.ms": 8_000,
            "compression.type": "snappy",
            # A commit sends what lingers at once.
            "linger.ms": 5,
            "batch.size": 1 << 20,
            "queue.buffering.max.messages": 4 * args.batch,
            "queue.buffering.max.kbytes": 1 << 20,
        }
    )
    producer.init_transactions()
    consumer.subscribe([args.source])
    running = True

    def stop(*_: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    while running:
        # A batch, or what came within 10 ms of its first: transactions of single records would fall behind.
        first = consumer.poll(0.2)
        if first is None:
            continue
        messages = [first, *consumer.consume(args.batch - 1, timeout=0.01)]
        for m in messages:
            if m.error():
                raise SystemExit(f"score.py: {m.error()}")
        producer.begin_transaction()
        # No callback: a commit fails where a delivery did.
        producer.produce_batch(args.to, decide(model, messages))
        offsets: dict[int, int] = {}
        for m in messages:
            offsets[m.partition()] = m.offset() + 1
        producer.send_offsets_to_transaction(
            [TopicPartition(args.source, k, v) for k, v in offsets.items()],
            consumer.consumer_group_metadata(),
        )
        producer.commit_transaction()
    consumer.close()


if __name__ == "__main__":
    main()
