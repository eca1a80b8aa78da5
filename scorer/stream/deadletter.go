package stream

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/schemas"
)

// keptValue is what is kept of a value too large for the dead letters.
const keptValue = 64 << 10

// sourceHeaders say which application an output came from.
func sourceHeaders(dst []kgo.RecordHeader, r *kgo.Record) []kgo.RecordHeader {
	return append(dst,
		kgo.RecordHeader{Key: schemas.HeaderSourceTopic, Value: []byte(r.Topic)},
		kgo.RecordHeader{Key: schemas.HeaderSourcePartition, Value: strconv.AppendInt(nil, int64(r.Partition), 10)},
		kgo.RecordHeader{Key: schemas.HeaderSourceOffset, Value: strconv.AppendInt(nil, r.Offset, 10)})
}

// deadLetter is an application that cannot be scored, as received, and why. With
// cut only the value's first 64 KiB are kept, with the digest of the whole.
func deadLetter(topic string, r *kgo.Record, class, message string, at time.Time, cut bool) *kgo.Record {
	d := &kgo.Record{Topic: topic, Key: r.Key, Value: r.Value}
	d.Headers = append(d.Headers, r.Headers...)
	d.Headers = append(d.Headers,
		kgo.RecordHeader{Key: schemas.HeaderErrorClass, Value: []byte(class)},
		kgo.RecordHeader{Key: schemas.HeaderErrorMessage, Value: []byte(message)},
		kgo.RecordHeader{Key: schemas.HeaderFailedAt, Value: []byte(schemas.At(at).String())})
	if cut && len(r.Value) > keptValue {
		sum := sha256.Sum256(r.Value)
		d.Value = r.Value[:keptValue]
		d.Headers = append(d.Headers,
			kgo.RecordHeader{Key: schemas.HeaderValueDigest, Value: []byte("sha256:" + hex.EncodeToString(sum[:]))},
			kgo.RecordHeader{Key: schemas.HeaderValueTruncated, Value: []byte("true")})
	}
	d.Headers = sourceHeaders(d.Headers, r)
	return d
}

// errorClass is the class of an application's decoding error.
func errorClass(err error) string {
	if _, ok := errors.AsType[*schemas.DecodeError](err); ok {
		return schemas.ErrorClassDecode
	}
	return schemas.ErrorClassContract
}
