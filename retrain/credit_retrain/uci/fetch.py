"""The dataset from its official source."""

from __future__ import annotations

import http.client
import io
import shutil
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from credit_retrain.base.problems import ProblemError
from credit_retrain.data import dataset
from credit_retrain.uci import published

KINDS = (".csv", ".xls", ".xlsx")
ZIP = b"PK\x03\x04"
CHUNK = 1 << 16
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, ImportError)
"""What reading an archive raises: broken, encrypted, packed otherwise, or without a table."""
GO_ON = "try again, what is there is kept"


class FetchError(ProblemError):
    """The dataset could not be fetched, or is not the one expected."""


def fetch(out: Path, url: str, report: Callable[[str], None]) -> Path:
    """Download, convert to CSV and check the content.

    A download that broke off goes on where it stopped; a file that is there and right
    is not fetched again.

    Raises
    ------
    FetchError
        When the source is no web address, cannot be reached or serves something else.
    """
    _address(url)
    if _canonical(out):
        report(f"{out} is there already")
        return out
    partial = out.with_suffix(".zip.partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    resumed = partial.exists()
    whole = _download(url, partial, report)
    candidate = out.with_suffix(".csv.partial")
    try:
        content = partial.read_bytes()
        candidate.write_bytes(_table(content))
    except UNREADABLE as error:
        if isinstance(error, zipfile.BadZipFile) and not whole and content.startswith(ZIP):
            raise FetchError(
                f"{url} did not say how long it is, and the archive has no end: it may have broken off after "
                f"{len(content)} bytes: {GO_ON}"
            ) from error
        partial.unlink()
        if resumed:  # the file at the source is another one by now
            report("what was there of it does not fit: starting again")
            return fetch(out, url, report)
        raise FetchError(f"{url} is not the expected archive: {error}") from error
    try:
        digest = dataset.read(candidate, told=Path(out.name)).digest()
        if digest != published.DIGEST:
            raise FetchError(f"{url} holds {digest}, expected {published.DIGEST}")
        candidate.replace(out)
    except dataset.DatasetError as error:
        raise FetchError(f"{url} is not the expected dataset: {error}") from error
    finally:
        candidate.unlink(missing_ok=True)
        partial.unlink()
    return out


def take(local: Path, out: Path) -> Path:
    """Copy a local file to where the pipeline looks for the raw data, and check the copy.

    Raises
    ------
    DatasetError
        When it breaks the contract.
    """
    if out.exists() and out.samefile(local):
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    candidate = out.with_suffix(".csv.partial")
    try:
        shutil.copyfile(local, candidate)
        dataset.read(candidate, told=local)
        candidate.replace(out)
    finally:
        candidate.unlink(missing_ok=True)
    return out


def _canonical(path: Path) -> bool:
    try:
        return path.is_file() and dataset.read(path).digest() == published.DIGEST
    except dataset.DatasetError:
        return False


def _address(url: str) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:
        raise FetchError(
            f"--url {url}: expected an address that starts with https:// or http://; a local file is taken "
            "by DATASET=FILE"
        )


def _download(url: str, partial: Path, report: Callable[[str], None]) -> bool:
    """Fetch what is not there yet, and return whether it is known to be all there is.

    The end of an answer that did not tell its length may be where the connection broke.
    """
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            if not isinstance(answer, http.client.HTTPResponse):
                raise FetchError(f"{url} leads to {answer.url}, which is not on the web")
            told = answer.length is not None or answer.chunked
            resumed = answer.status == 206
            with partial.open("ab" if resumed else "wb") as file:
                if resumed:
                    report(f"going on after {have} bytes")
                while chunk := answer.read(CHUNK):
                    file.write(chunk)
            # An answer that breaks off ends like a whole one.
            if answer.length:
                raise FetchError(f"{url} broke off {answer.length} bytes before its end: {GO_ON}")
            return told
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to fetch
            return True
        raise FetchError(f"{url}: {error}") from error
    except (http.client.HTTPException, OSError) as error:
        if partial.exists() and partial.stat().st_size > have:
            raise FetchError(f"{url} broke off ({error}): {GO_ON}") from error
        raise FetchError(
            f"{url} cannot be reached ({error}): set DATASET to a local UCI_Credit_Card.csv instead"
        ) from error


def _table(archive: bytes) -> bytes:
    """Return the table in an archive, as CSV."""
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        names = files.namelist()
        name = next((n for n in names if n.lower().endswith(KINDS)), None)
        if name is None:
            held = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
            raise ValueError(f"expected a table in it ({', '.join(KINDS)}), it holds {held or 'nothing'}")
        content = files.read(name)
    if name.lower().endswith(".csv"):
        return content
    table: str = pd.read_excel(io.BytesIO(content), header=1).to_csv(index=False)
    return table.encode()
