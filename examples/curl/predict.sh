#!/usr/bin/env bash
# Asks creditstream for a decision with curl: one application, as JSON, from a file
# or standard input.
#
#   head -n 1 examples/applications.jsonl | examples/curl/predict.sh
#
# CREDITSTREAM_URL      the API                        (default http://127.0.0.1:8000)
# CREDITSTREAM_API_KEY  its key, where it asks for one
# IDEMPOTENCY_KEY       of this request                (default: a new one)
set -euo pipefail

new_key() { cat /proc/sys/kernel/random/uuid 2>/dev/null || uuidgen; }

headers() {
  echo "Content-Type: application/json"
  # Whichever attempt comes through, one decision is made; the others get its answer.
  echo "Idempotency-Key: ${IDEMPOTENCY_KEY:-$(new_key)}"
  # In a file, not an argument: arguments show in the process list.
  if [ -n "${CREDITSTREAM_API_KEY:-}" ]; then echo "Authorization: Bearer $CREDITSTREAM_API_KEY"; fi
}

# --retry: 429, 503 and the like, after what Retry-After says; not what is wrong
# with the request. A problem document (--fail-with-body) says what that is.
curl --write-out '\n' --silent --show-error --fail-with-body --max-time 60 \
  --retry 5 --retry-connrefused --retry-max-time 60 \
  --header @<(headers) --data-binary "@${1:--}" "${CREDITSTREAM_URL:-http://127.0.0.1:8000}/predict"
