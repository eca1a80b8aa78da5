import http.server
import io
import threading
import zipfile

import pytest

from credit_retrain import __main__ as command_line
from credit_retrain import dataset, fetch


def archive(frame):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as files:
        files.writestr("clients.csv", frame.to_csv(index=False))
    return out.getvalue()


class Source:
    """Serves one file, and breaks off after `cut` bytes until told otherwise."""

    def __init__(self, content):
        self.content, self.cut, self.ranges = content, None, []
        source = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked = self.headers.get("Range")
                source.ranges.append(asked)
                start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
                rest = source.content[start:]
                self.send_response(206 if asked else 200)
                self.send_header("Content-Length", str(len(rest)))
                self.end_headers()
                self.wfile.write(rest[: source.cut])

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
def source(uci):
    s = Source(archive(uci.frame()))
    yield s
    s.close()


def test_what_broke_off_goes_on_where_it_stopped(tmp_path, source):
    out, lines = tmp_path / "data.csv", []
    source.cut = 100_000
    with pytest.raises(fetch.FetchError, match=r"broke off .* try again"):
        fetch.fetch(out, source.url, lines.append)
    source.cut = None
    assert fetch.fetch(out, source.url, lines.append) == out
    assert source.ranges == [None, "bytes=100000-"]
    assert dataset.read(out).digest() == dataset.CANONICAL_DIGEST
    assert list(tmp_path.iterdir()) == [out]
    fetch.fetch(out, source.url, lines.append)
    assert len(source.ranges) == 2, "what is there is not fetched again"


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
