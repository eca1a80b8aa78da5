"""A model as one file: graph, manifest, reference, golden rows and card."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from typing import Any

from credit_retrain.artifact.manifest import check

FORMAT = 1
MAX_BYTES = 8 * 1024 * 1024 - 64 * 1024
_ORDER = ["model.onnx", "reference.json", "golden.json", "card.md"]


def to_json(document: object) -> bytes:
    """Write a document with one notation, so that equal content gives equal bytes."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def pack(manifest: dict[str, Any], files: dict[str, bytes]) -> bytes:
    """Return the bundle's bytes: a zip archive, nothing compressed, dated 1980-01-01.

    Raises
    ------
    ValueError
        When the bundle is larger than the models topic takes, or its manifest would be refused.
    """
    manifest = {
        **manifest,
        "files": {
            name: {"sha256": hashlib.sha256(files[name]).hexdigest(), "bytes": len(files[name])}
            for name in _ORDER
        },
    }
    check(manifest)
    text = json.dumps(manifest, ensure_ascii=False, indent=1).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in [("manifest.json", text), *((n, files[n]) for n in _ORDER)]:
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    if out.tell() > MAX_BYTES:
        raise ValueError(f"the bundle has {out.tell()} bytes, more than the {MAX_BYTES} that fit its topic")
    return out.getvalue()


def unpack(content: bytes) -> dict[str, bytes]:
    """Return a bundle's files by name.

    Raises
    ------
    ValueError
        When the bytes are no bundle.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:  # broken, cut off, encrypted
        raise ValueError(f"no model bundle (a zip archive with manifest.json): {error}") from error
    absent = [name for name in ["manifest.json", *_ORDER] if name not in files]
    if absent:
        raise ValueError(f"no model bundle: {', '.join(absent)} is not there")
    return files
