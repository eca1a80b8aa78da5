#!/usr/bin/env python3
"""Ask creditstream for a decision over HTTP. Needs nothing but Python."""

import argparse
import http.client
import json
import os
import random
import sys
import time
import urllib.error
import urllib.request
import uuid

# A moment later these may go well: in progress, too many requests, not now.
RETRIED = (409, 429, 503)


class RefusedError(Exception):
    """What the API says is wrong: a problem document (RFC 9457)."""

    def __init__(self, status: int, problem: dict[str, object]) -> None:
        self.status = status
        self.problem = problem
        lines = [f"{status} {problem.get('title', 'no problem document')}"]
        if problem.get("detail"):
            lines.append(f"  {problem['detail']}")
        for e in problem.get("errors", []):
            lines.append(f"  {e['field']}: {e['rule']}" + (f" (is {e['value']})" if e.get("value") else ""))
        if problem.get("recorded"):
            lines.append(f"  application {problem.get('application_id')}: recorded {problem['recorded']}")
        super().__init__("\n".join(lines))


class Client:
    """Calls POST /predict."""

    def __init__(self, url: str, api_key: str | None, attempts: int = 6, timeout: float = 15.0) -> None:
        self.url = url.rstrip("/") + "/predict"
        self.api_key = api_key
        self.attempts = attempts
        self.timeout = timeout  # seconds; the API itself gives up before that

    def predict(self, application: dict[str, object], idempotency_key: str) -> dict[str, object]:
        """Ask for the decision on an application.

        Every attempt carries the same key: whichever comes through, one decision is
        made, and the others get its answer for ten minutes.
        """
        for attempt in range(1, self.attempts + 1):
            wait = min(0.2 * 2**attempt, 10.0) * random.uniform(0.5, 1.0)
            try:
                return self.ask(application, idempotency_key)
            except urllib.error.HTTPError as answer:
                with answer:
                    refused = RefusedError(answer.code, document(answer.read()))
                if answer.code not in RETRIED or attempt == self.attempts:
                    raise refused from None
                after = answer.headers.get("Retry-After", "")
                if after.isdigit():  # seconds; a date is not what this API sends
                    wait = float(after)
                reason = str(refused)
            except (OSError, http.client.HTTPException) as error:  # no connection, time out
                if attempt == self.attempts:
                    raise
                reason = str(error)
            print(f"predict.py: {reason}\npredict.py: trying again in {wait:.1f} s", file=sys.stderr)
            time.sleep(wait)
        raise ValueError(f"attempts {self.attempts}: expected at least 1")

    def ask(self, application: dict[str, object], idempotency_key: str) -> dict[str, object]:
        """Ask once."""
        request = urllib.request.Request(
            self.url,
            data=json.dumps(application).encode(),
            headers={"Content-Type": "application/json", "Idempotency-Key": idempotency_key},
        )
        if self.api_key:
            request.add_header("Authorization", f"Bearer {self.api_key}")
        with urllib.request.urlopen(request, timeout=self.timeout) as answer:
            return json.load(answer)


def document(body: bytes) -> dict[str, object]:
    """Read the problem document in a body: empty where something else answered."""
    try:
        problem = json.loads(body)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def main() -> int:
    """Ask about every application of a file or of standard input."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument(
        "file",
        nargs="?",
        type=argparse.FileType("r", encoding="utf-8"),
        default="-",
        help="JSON lines (default: standard input)",
    )
    arguments.add_argument(
        "--url",
        default=os.environ.get("CREDITSTREAM_URL", "http://127.0.0.1:8000"),
        help="of the API (CREDITSTREAM_URL; default %(default)s); its key is taken from CREDITSTREAM_API_KEY",
    )
    arguments.add_argument("--idempotency-key", help="of the first application (default: a new one each)")
    given = arguments.parse_args()

    client = Client(given.url, os.environ.get("CREDITSTREAM_API_KEY"))
    key, failed = given.idempotency_key, False
    try:
        for number, line in enumerate(given.file, start=1):
            if not line.strip():
                continue
            try:
                answer = client.predict(json.loads(line), key or str(uuid.uuid4()))
                print(json.dumps(answer, ensure_ascii=False), flush=True)
            except (RefusedError, ValueError, OSError, http.client.HTTPException) as error:
                print(f"predict.py: line {number}: {error}", file=sys.stderr)
                failed = True
            key = None
    except KeyboardInterrupt:
        return 130
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
