import http.client
import http.server
import io
import socket
import struct
import threading
import zipfile

import numpy as np
import pytest

from credit_retrain import __main__ as command_line
from credit_retrain.data import dataset
from credit_retrain.uci import fetch, published


def archive(frame):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as files:
        files.writestr("clients.csv", frame.to_csv(index=False))
    return out.getvalue()


class Source:
    """Serves one file; with `cut` it breaks off after so many bytes, with `reset` the hard way."""

    def __init__(self, content):
        self.content, self.cut, self.reset, self.ranges = content, None, False, []
        self.length = True
        self.taken = threading.Event()
        source = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked = self.headers.get("Range")
                source.ranges.append(asked)
                start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
                rest = source.content[start:]
                self.send_response(206 if asked else 200)
                if source.length:
                    self.send_header("Content-Length", str(len(rest)))
                self.end_headers()
                self.wfile.write(rest[: source.cut])
                if source.reset:
                    self.wfile.flush()
                    source.taken.wait(10)
                    # Closed with nothing lingering, a connection is reset.
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/clients.zip"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def source(uci, monkeypatch):
    """Serves a part of the dataset that is as good as the whole."""
    rows = uci.take(np.arange(len(uci)) < 4000)
    monkeypatch.setattr(published, "DIGEST", rows.digest())
    s = Source(archive(rows.frame()))
    yield s
    s.close()


def test_what_broke_off_goes_on_where_it_stopped(tmp_path, source):
    out, lines = tmp_path / "data.csv", []
    source.cut = 100_000
    with pytest.raises(fetch.FetchError, match=r"broke off .* try again, what is there is kept"):
        fetch.fetch(out, source.url, lines.append)
    source.cut = None
    assert fetch.fetch(out, source.url, lines.append) == out
    assert source.ranges == [None, "bytes=100000-"]
    assert dataset.read(out).digest() == published.DIGEST
    assert list(tmp_path.iterdir()) == [out]
    fetch.fetch(out, source.url, lines.append)
    assert len(source.ranges) == 2, "what is there is not fetched again"


def test_what_broke_off_without_a_length_is_kept_to_go_on(tmp_path, source):
    out = tmp_path / "data.csv"
    source.cut, source.length = 100_000, False
    with pytest.raises(fetch.FetchError, match=r"did not say how long it is.* 100000 bytes: try again"):
        fetch.fetch(out, source.url, lambda _: None)
    assert [p.stat().st_size for p in tmp_path.iterdir()] == [100_000]
    source.cut = None
    assert fetch.fetch(out, source.url, lambda _: None) == out
    assert source.ranges == [None, "bytes=100000-"]
    assert list(tmp_path.iterdir()) == [out]


def test_what_is_no_archive_is_not_kept_whatever_its_length(tmp_path, source):
    source.content, source.length = b"<html>log in first</html>", False
    with pytest.raises(fetch.FetchError, match="is not the expected archive: File is not a zip file"):
        fetch.fetch(tmp_path / "data.csv", source.url, lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_without_a_table_says_what_it_holds(tmp_path, source):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as files:
        files.writestr("README.txt", "nothing here")
    source.content = out.getvalue()
    with pytest.raises(fetch.FetchError, match=r"archive: expected a table in it \(.csv, .*README.txt$"):
        fetch.fetch(tmp_path / "data.csv", source.url, lambda _: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/x.zip", "clients.zip", "", "http://", "https://[x/"]
)
def test_an_address_that_is_not_on_the_web_is_refused_at_once(url, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("DATASET", raising=False)
    assert command_line.main(["fetch", "--out", str(tmp_path / "raw" / "data.csv"), "--url", url]) == 1
    assert f"--url {url}: expected an address that starts with https://" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_connection_that_is_reset_goes_on_where_it_stopped(tmp_path, source, monkeypatch):
    out = tmp_path / "data.csv"
    source.cut, source.reset = 3 * fetch.CHUNK, True

    class Answer(http.client.HTTPResponse):
        """Lets the server reset the connection once two chunks are read."""

        def read(self, amount=None):
            got = super().read(amount)
            self.chunks = getattr(self, "chunks", 0) + 1
            if self.chunks == 2:
                source.taken.set()
            return got

    monkeypatch.setattr(http.client.HTTPConnection, "response_class", Answer)
    with pytest.raises(fetch.FetchError, match=r"broke off .* what is there is kept"):
        fetch.fetch(out, source.url, lambda _: None)
    (kept,) = (p.stat().st_size for p in tmp_path.iterdir())
    assert kept >= 2 * fetch.CHUNK
    source.cut, source.reset = None, False
    fetch.fetch(out, source.url, lambda _: None)
    assert source.ranges == [None, f"bytes={kept}-"]
    assert dataset.read(out).digest() == published.DIGEST


def test_what_is_kept_of_another_file_is_fetched_again_whole(tmp_path, source):
    out, lines = tmp_path / "data.csv", []
    out.with_suffix(".zip.partial").write_bytes(b"x" * 1000)
    fetch.fetch(out, source.url, lines.append)
    assert source.ranges == ["bytes=1000-", None]
    assert any("starting again" in line for line in lines)
    assert dataset.read(out).digest() == published.DIGEST


def test_a_broken_file_is_fetched_again(tmp_path, source):
    out = tmp_path / "data.csv"
    out.write_text("age\nx\n")
    fetch.fetch(out, source.url, lambda _: None)
    assert dataset.read(out).digest() == published.DIGEST


def test_a_local_file_is_taken_to_where_the_pipeline_looks(tmp_path, uci, monkeypatch, capsys):
    local, out = tmp_path / "mine.csv", tmp_path / "raw" / "data.csv"
    uci.frame().head(100).to_csv(local, index=False)
    monkeypatch.setenv("DATASET", str(local))
    for _ in range(2):
        assert command_line.main(["fetch", "--out", str(out), "--url", "http://127.0.0.1:1/x.zip"]) == 0
        assert "100 rows, not the UCI data" in capsys.readouterr().out
        assert out.read_bytes() == local.read_bytes()
    local.write_text("age\n17\n")
    assert command_line.main(["fetch", "--out", str(out)]) == 1
    told = capsys.readouterr().err
    assert "age '17'" in told
    assert f"{local}:" in told
    assert ".partial" not in told, "the copy is gone"
    assert len(dataset.read(out)) == 100, "what was there is kept"
    assert [p.name for p in out.parent.iterdir()] == [out.name]


def test_another_dataset_is_refused(tmp_path, source, uci):
    out = tmp_path / "data.csv"
    for content, message in (
        (archive(uci.frame().head(10)), "holds sha256:"),
        (archive(uci.frame().head(10).assign(age=1)), "must be an integer from 18"),
        (b"<html>not found</html>", "is not the expected archive"),
    ):
        source.content = content
        with pytest.raises(fetch.FetchError, match=message):
            fetch.fetch(out, source.url, lambda _: None)
        assert list(tmp_path.iterdir()) == []


def test_no_network_says_what_to_do_instead(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("DATASET", raising=False)
    out = tmp_path / "data.csv"
    assert command_line.main(["fetch", "--out", str(out), "--url", "http://127.0.0.1:1/x.zip"]) == 1
    told = capsys.readouterr().err
    assert "http://127.0.0.1:1/x.zip cannot be reached" in told
    assert "set DATASET to a local UCI_Credit_Card.csv" in told
    assert not out.exists()
