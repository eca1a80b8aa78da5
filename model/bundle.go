package model

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/creditstream/creditstream/internal/bounded"
)

// MaxBundle is the most bytes a bundle may have: a record of 8 MiB, less its
// framing.
const MaxBundle = 8<<20 - 64<<10

// entries are a bundle's files; every one must be there and no other.
var entries = []string{"manifest.json", "model.onnx", "reference.json", "golden.json", "card.md"}

// maxEntry bounds what an entry unpacks to. JSON needs up to ten times its size
// in memory, so its bounds are tighter than the graph's.
func maxEntry(name string) int64 {
	switch name {
	case "model.onnx":
		return 16 << 20
	case "golden.json":
		return 4 << 20
	}
	return 1 << 20
}

// Digest names a bundle by its bytes: "sha256:<hex>".
func Digest(bundle []byte) string {
	d := sha256.Sum256(bundle)
	return "sha256:" + hex.EncodeToString(d[:])
}

// ReadFile is a bundle's bytes. Of a file that is too large for one no more is read.
func ReadFile(path string) ([]byte, error) {
	bundle, err := bounded.ReadFile(path, MaxBundle)
	if err != nil {
		return nil, fmt.Errorf("reading a bundle: %w", err)
	}
	return bundle, nil
}

// ReadManifest is what a bundle says of itself, with its reference distribution.
// Its digests hold; its graph has not been looked at.
func ReadManifest(bundle []byte) (*Manifest, *Reference, error) {
	m, files, err := unpack(bundle)
	if err != nil {
		return nil, nil, err
	}
	r, err := parseReference(files["reference.json"], m.Inputs)
	return m, r, err
}

// unpack reads every entry and checks it against the manifest.
func unpack(bundle []byte) (*Manifest, map[string][]byte, error) {
	if len(bundle) > MaxBundle {
		return nil, nil, fmt.Errorf("the bundle has %d bytes, at most %d fit a record", len(bundle), MaxBundle)
	}
	z, err := zip.NewReader(bytes.NewReader(bundle), int64(len(bundle)))
	if err != nil {
		return nil, nil, fmt.Errorf("not a model bundle (a zip archive with manifest.json): %w", err)
	}
	files := map[string][]byte{}
	for _, f := range z.File {
		if _, twice := files[f.Name]; twice {
			return nil, nil, fmt.Errorf("the bundle has two entries %q", f.Name)
		}
		if !slices.Contains(entries, f.Name) {
			return nil, nil, fmt.Errorf("the bundle has an entry %q, expected only %v", f.Name, entries)
		}
		text, err := readEntry(f)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		files[f.Name] = text
	}
	for _, name := range entries {
		if _, ok := files[name]; !ok {
			return nil, nil, fmt.Errorf("the bundle has no %s", name)
		}
	}
	m, err := parseManifest(files["manifest.json"])
	if err != nil {
		return nil, nil, err
	}
	for _, name := range entries[1:] {
		said, ok := m.Files[name]
		if !ok {
			return nil, nil, fmt.Errorf("manifest.json: files lacks %s", name)
		}
		sum := sha256.Sum256(files[name])
		if got := hex.EncodeToString(sum[:]); got != said.SHA256 || int64(len(files[name])) != said.Bytes {
			return nil, nil, fmt.Errorf("%s has %d bytes and digest %s, the manifest says %d and %s", name, len(files[name]), got, said.Bytes, said.SHA256)
		}
	}
	return m, files, nil
}

func readEntry(f *zip.File) ([]byte, error) {
	most := maxEntry(f.Name)
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(r, most+1))
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("unpacks to more than %d bytes", most)
	}
	return text, nil
}
