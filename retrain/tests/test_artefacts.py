import io
import json
import zipfile
from pathlib import Path

import pytest

from credit_retrain import __main__ as command_line
from credit_retrain.artifact import files

SHIPPED = Path(__file__).resolve().parents[2] / "model" / "shipped" / "credit-default.bundle"


def rewritten(change):
    """The shipped bundle with some of its files changed."""
    with zipfile.ZipFile(io.BytesIO(SHIPPED.read_bytes())) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def test_the_files_of_a_bundle_are_written_as_they_are(tmp_path):
    written = files.write(SHIPPED.read_bytes(), tmp_path)
    assert [p.name for p in written] == [
        "card.md",
        "golden.json",
        "manifest.json",
        "model.onnx",
        "reference.json",
    ]
    with zipfile.ZipFile(SHIPPED) as archive:
        for path in written:
            assert path.read_bytes() == archive.read(path.name)


def test_a_file_that_was_changed_or_lost_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"card\.md is not the file that the bundle's manifest names"):
        files.write(rewritten(lambda files: files.update({"card.md": b"other"})), tmp_path)
    with pytest.raises(ValueError, match=r"model\.onnx is not there"):
        files.write(rewritten(lambda files: files.pop("model.onnx")), tmp_path)
    for content in (b"", b"PK", rewritten(lambda files: files.pop("manifest.json"))):
        with pytest.raises(ValueError, match="no model bundle"):
            files.write(content, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_golden_rows_that_do_not_replay_are_refused(tmp_path):
    import hashlib

    def change(files):
        golden = json.loads(files["golden.json"])
        golden["rows"][3]["probability"] += 1e-4
        files["golden.json"] = json.dumps(golden).encode()
        manifest = json.loads(files["manifest.json"])
        manifest["files"]["golden.json"]["sha256"] = hashlib.sha256(files["golden.json"]).hexdigest()
        files["manifest.json"] = json.dumps(manifest).encode()

    with pytest.raises(ValueError, match=r"golden rows differ by 1\.0e-04"):
        files.write(rewritten(change), tmp_path)


def test_export_says_what_is_wrong(tmp_path, capsys):
    path = tmp_path / "broken.bundle"
    path.write_bytes(b"x")
    assert command_line.main(["export", "--bundle", str(path), "--out", str(tmp_path / "out")]) == 1
    assert "no model bundle" in capsys.readouterr().err
