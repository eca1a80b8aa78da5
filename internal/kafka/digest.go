package kafka

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Digest is the digest of a key or a value as headers carry it.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return asHeader(sum[:])
}

// HeadersDigest is the digest of headers in their order: of each, the length of its
// key (four bytes, big-endian), the key, the length of its value, and the value.
// A header without a value counts as one with an empty value.
func HeadersDigest(headers []kgo.RecordHeader) string {
	sum := sha256.New()
	var length [4]byte
	add := func(data []byte) {
		binary.BigEndian.PutUint32(length[:], uint32(len(data)))
		sum.Write(length[:])
		sum.Write(data)
	}
	for _, h := range headers {
		add([]byte(h.Key))
		add(h.Value)
	}
	return asHeader(sum.Sum(nil))
}

func asHeader(sum []byte) string { return "sha256:" + hex.EncodeToString(sum) }

// HeadersBytes is the sum of the lengths of keys and values.
func HeadersBytes(headers []kgo.RecordHeader) (n int) {
	for _, h := range headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}
