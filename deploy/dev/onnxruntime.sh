#!/usr/bin/env bash
# Fetches ONNX Runtime's shared library from its Python wheel and prints the
# path, for CREDITSTREAM_ONNXRUNTIME.
set -euo pipefail
version=1.32.0
dir="${1:-.cache/onnxruntime}/$version"
if ! ls "$dir"/libonnxruntime.so.* >/dev/null 2>&1; then
  mkdir -p "$dir"
  python3 -m pip download --quiet --no-deps --only-binary=:all: -d "$dir" "onnxruntime==$version" >&2
  python3 - "$dir" <<'PY'
import glob, os, sys, zipfile
where = sys.argv[1]
for wheel in glob.glob(where + "/*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if "/capi/libonnxruntime.so." in name:
                with open(os.path.join(where, os.path.basename(name)), "wb") as out:
                    out.write(archive.read(name))
    os.remove(wheel)
PY
fi
set -- "$dir"/libonnxruntime.so.*
realpath "$1"
