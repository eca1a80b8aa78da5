package api

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
)

// asset serves a fixed document. A browser asks again each time and gets it only
// when it has changed. policy is its Content-Security-Policy, if it needs one.
func asset(contentType, policy string, body []byte) http.HandlerFunc {
	tag := etag(body)
	return func(w http.ResponseWriter, r *http.Request) {
		if fresh(w, r, tag) {
			return
		}
		h := w.Header()
		h.Set("Content-Type", contentType)
		if policy != "" {
			h.Set("Content-Security-Policy", policy)
		}
		_, _ = w.Write(body)
	}
}

// packed is asset for a document that is kept compressed.
func packed(contentType string, body []byte) http.HandlerFunc {
	tag := etag(body)
	return func(w http.ResponseWriter, r *http.Request) {
		if fresh(w, r, tag) {
			return
		}
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			_, _ = w.Write(body)
			return
		}
		plain, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			internalProblem().write(w)
			return
		}
		_, _ = io.Copy(w, plain)
	}
}

func etag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:8]) + `"`
}

func fresh(w http.ResponseWriter, r *http.Request, tag string) bool {
	h := w.Header()
	h.Set("ETag", tag)
	h.Set("Cache-Control", "no-cache")
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return true
	}
	return false
}
