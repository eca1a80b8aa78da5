package model

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// WithReference is the same graph under another version and against another
// reference distribution. The same arguments give the same bytes: a version's
// bytes must never change.
func WithReference(bundle []byte, version string, reference *Reference) ([]byte, error) {
	manifest, files, err := unpack(bundle)
	if err != nil {
		return nil, err
	}
	if err := CheckVersion(version); err != nil {
		return nil, err
	}
	if version == manifest.Version {
		return nil, fmt.Errorf("model version %s: another reference needs another version", version)
	}
	if files["reference.json"], err = marshal(reference, ""); err != nil {
		return nil, fmt.Errorf("reference.json: %w", err)
	}
	if _, err := parseReference(files["reference.json"], manifest.Inputs); err != nil {
		return nil, err
	}
	manifest.Version = version
	return pack(manifest, files)
}

// marshal writes JSON as training does: nothing escaped for HTML, no last newline.
func marshal(v any, indent string) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	err := e.Encode(v)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// pack writes a bundle as training does: nothing compressed, dated 1980-01-01.
func pack(manifest *Manifest, files map[string][]byte) ([]byte, error) {
	manifest.Files = map[string]File{}
	for _, name := range entries[1:] {
		sum := sha256.Sum256(files[name])
		manifest.Files[name] = File{SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(files[name]))}
	}
	text, err := marshal(manifest, " ")
	if err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, name := range entries {
		content := files[name]
		if name == "manifest.json" {
			content = text
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)})
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			return nil, errors.Join(err, z.Close())
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	if out.Len() > MaxBundle {
		return nil, fmt.Errorf("the bundle has %d bytes, at most %d fit a record", out.Len(), MaxBundle)
	}
	return out.Bytes(), nil
}
