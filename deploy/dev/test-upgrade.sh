#!/usr/bin/env bash
# Tests a rolling upgrade from the release before, which it builds from the history:
# both run side by side on the embedded broker, and verify judges.
#   --known  says only whether the history has that release
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
former=61a285a # the last commit whose groups and Redis keys are without the prefix
repository() { git -c safe.directory='*' "$@"; }
if ! repository cat-file -e "$former^{commit}" 2>/dev/null; then
  echo "test-upgrade: the history has no commit $former: fetch all of it (git fetch --unshallow; actions/checkout with fetch-depth: 0)" >&2
  exit 1
fi
[ "${1:-}" != --known ] || exit 0
[ -x "${CREDITSTREAM_BINARY:-}" ] || { echo "test-upgrade: CREDITSTREAM_BINARY is no program; make test-upgrade builds it" >&2; exit 1; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/source"
repository archive "$former" | tar -x -C "$dir/source"
(cd "$dir/source" && CGO_ENABLED=0 "${GO:-go}" build -buildvcs=false -o "$dir/creditstream" .)
CREDITSTREAM_FORMER_BINARY=$dir/creditstream "${GO:-go}" test -count=1 -tags upgrade -run 'TestUpgrade' "$@" ./apptest
