package stream

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// sourceHeaders say which application an output came from.
func sourceHeaders(dst []kgo.RecordHeader, r *kgo.Record) []kgo.RecordHeader {
	return append(dst,
		kgo.RecordHeader{Key: schemas.HeaderSourceTopic, Value: []byte(r.Topic)},
		kgo.RecordHeader{Key: schemas.HeaderSourcePartition, Value: strconv.AppendInt(nil, int64(r.Partition), 10)},
		kgo.RecordHeader{Key: schemas.HeaderSourceOffset, Value: strconv.AppendInt(nil, r.Offset, 10)})
}

// maxMessage bounds why an application could not be scored, in bytes: it may quote
// what was received.
const maxMessage = 1_000

// deadLetter is an application that cannot be scored, as received, and why. Where
// that takes more than room bytes, key, value and headers are cut, and the digests
// and sizes of the whole are beside them.
func deadLetter(topic string, r *kgo.Record, class, message string, at time.Time, room int) *kgo.Record {
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	k := keep(r, room)
	d := &kgo.Record{Topic: topic, Key: k.key, Value: k.value}
	d.Headers = append(d.Headers, k.headers...)
	d.Headers = append(d.Headers,
		kgo.RecordHeader{Key: schemas.HeaderErrorClass, Value: []byte(class)},
		kgo.RecordHeader{Key: schemas.HeaderErrorMessage, Value: []byte(message)},
		kgo.RecordHeader{Key: schemas.HeaderFailedAt, Value: []byte(schemas.At(at).String())})
	if k.cut() {
		d.Headers = k.describe(d.Headers, r)
	}
	d.Headers = sourceHeaders(d.Headers, r)
	return d
}

// describe adds what the whole of each part was, and which of them were cut.
func (k *kept) describe(dst []kgo.RecordHeader, r *kgo.Record) []kgo.RecordHeader {
	part := func(digestKey, digest, bytesKey string, bytes int, truncatedKey string, truncated bool) {
		dst = append(dst,
			kgo.RecordHeader{Key: digestKey, Value: []byte(digest)},
			kgo.RecordHeader{Key: bytesKey, Value: strconv.AppendInt(nil, int64(bytes), 10)})
		if truncated {
			dst = append(dst, kgo.RecordHeader{Key: truncatedKey, Value: []byte("true")})
		}
	}
	// The value's digest is always there: it is what verify compares.
	part(schemas.HeaderValueDigest, kafka.Digest(r.Value), schemas.HeaderValueBytes, len(r.Value), schemas.HeaderValueTruncated, k.valueCut)
	if k.keyCut {
		part(schemas.HeaderKeyDigest, kafka.Digest(r.Key), schemas.HeaderKeyBytes, len(r.Key), schemas.HeaderKeyTruncated, true)
	}
	if k.headersCut {
		part(schemas.HeaderHeadersDigest, kafka.HeadersDigest(r.Headers), schemas.HeaderHeadersBytes, kafka.HeadersBytes(r.Headers), schemas.HeaderHeadersTruncated, true)
	}
	return dst
}

// errorClass is the class of an application's decoding error.
func errorClass(err error) string {
	if _, ok := errors.AsType[*schemas.DecodeError](err); ok {
		return schemas.ErrorClassDecode
	}
	return schemas.ErrorClassContract
}
