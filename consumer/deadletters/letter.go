// Package deadletters looks at records that could not be scored and replays them:
// it writes the original to the applications again and, in the same transaction, a
// marker among the dead letters that says so.
//
// A marker stands in the partition of the letter it names, behind it, so that
// retention never removes the marker before the letter, and so that one who reads
// a partition from a letter on has seen every marker of it.
package deadletters

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// Letter is a dead letter as it stands in its topic.
type Letter struct {
	Position
	FailedAt     time.Time // when the letter was appended, where no header says
	Class        string    // "" where no header says
	Foreign      bool      // no header says a class: no scorer wrote it, and it is not replayed
	Message      string
	Source       schemas.Source // its Topic is "" where no headers say
	ReplayedFrom string         // the letter that the application was, "" where it was none
	Cut          Cut            // what is missing of what was received
	Replayed     bool           // a marker names it
	Key, Value   []byte
}

// Cut says what a letter lacks of what was received.
type Cut struct {
	Key, Headers, Value Part
}

// Part is what the whole of a part of a record was. The digest and the size of a
// value are known where anything was cut, others where that part was.
type Part struct {
	Cut    bool
	Digest string
	Bytes  int64 // -1 where no header says
}

// Any says whether anything is missing.
func (c *Cut) Any() bool { return c.Key.Cut || c.Headers.Cut || c.Value.Cut }

// names are the parts that were cut.
func (c *Cut) names() (names []string) {
	for _, part := range []struct {
		name string
		cut  bool
	}{{"key", c.Key.Cut}, {"headers", c.Headers.Cut}, {"value", c.Value.Cut}} {
		if part.cut {
			names = append(names, part.name)
		}
	}
	return names
}

// Application reads the application_id out of the value; known is false where it holds
// none that the contract takes. It fails where that takes a schema registry that does not
// answer. codec is nil where values are JSON.
func (l *Letter) Application(ctx context.Context, codec *wire.Codec) (id string, known bool, err error) {
	if l.Cut.Value.Cut {
		if id, known, err = codec.DecodeCutApplication(ctx, l.Value); err != nil {
			err = fmt.Errorf("dead letter %s: %w", l.Position, err)
		}
		return id, known, err
	}
	var a schemas.Application
	if err = codec.DecodeApplication(ctx, l.Value, &a); err != nil && !wire.IsBroken(err) {
		return "", false, fmt.Errorf("dead letter %s: %w", l.Position, err)
	}
	return a.ApplicationID, err == nil, nil
}

// IsMarker says whether a record among the dead letters only says that another was
// replayed. An application may have come with any header, and its letter carries
// it, but every letter has a class.
func IsMarker(r *kgo.Record) bool {
	_, marker := header(r.Headers, schemas.HeaderReplayOf)
	_, letter := header(r.Headers, schemas.HeaderErrorClass)
	return marker && !letter
}

// isForeign says whether a record among the dead letters is none: every letter has
// a class, whoever else writes to the topic gives it no such header.
func isForeign(r *kgo.Record) bool {
	_, letter := header(r.Headers, schemas.HeaderErrorClass)
	return !letter && !IsMarker(r)
}

// WasCut says whether a letter lacks anything of what was received, and the digest
// of the whole value.
func WasCut(r *kgo.Record) (digest string, cut bool) {
	c := cutOf(written(r))
	if !c.Any() {
		return "", false
	}
	return c.Value.Digest, true
}

// cutOf reads what the headers written say was cut.
func cutOf(own []kgo.RecordHeader) Cut {
	part := func(truncatedKey, digestKey, bytesKey string) (p Part) {
		text := func(key string) string {
			value, _ := header(own, key)
			return string(value)
		}
		p.Cut, p.Digest = text(truncatedKey) == "true", text(digestKey)
		var err error
		if p.Bytes, err = strconv.ParseInt(text(bytesKey), 10, 64); err != nil || p.Bytes < 0 {
			p.Bytes = -1
		}
		return p
	}
	c := Cut{
		Key:     part(schemas.HeaderKeyTruncated, schemas.HeaderKeyDigest, schemas.HeaderKeyBytes),
		Headers: part(schemas.HeaderHeadersTruncated, schemas.HeaderHeadersDigest, schemas.HeaderHeadersBytes),
		Value:   part(schemas.HeaderValueTruncated, schemas.HeaderValueDigest, schemas.HeaderValueBytes),
	}
	if !c.Any() {
		return Cut{}
	}
	return c
}

// written are the headers that were added when the application became a letter.
// They begin with its class and come after those received, which may have the
// same names. Without a class any may be one of them.
func written(r *kgo.Record) []kgo.RecordHeader {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Key == schemas.HeaderErrorClass {
			return r.Headers[i:]
		}
	}
	return r.Headers
}

// header is a header's value. The last of a name wins.
func header(headers []kgo.RecordHeader, key string) (value []byte, ok bool) {
	for _, h := range slices.Backward(headers) {
		if h.Key == key {
			return h.Value, true
		}
	}
	return nil, false
}

// parse reads a letter's headers, however malformed.
func parse(r *kgo.Record) Letter {
	own := written(r)
	text := func(key string) string {
		value, _ := header(own, key)
		return string(value)
	}
	l := Letter{
		Position: Position{r.Partition, r.Offset}, FailedAt: r.Timestamp.UTC(),
		Class: text(schemas.HeaderErrorClass), Message: text(schemas.HeaderErrorMessage),
		Foreign: isForeign(r), Key: r.Key, Value: r.Value,
	}
	l.Cut = cutOf(own)
	var at schemas.Timestamp
	if at.UnmarshalText([]byte(text(schemas.HeaderFailedAt))) == nil {
		l.FailedAt = at.Time()
	}
	source, err := schemas.ParseSource([]byte(text(schemas.HeaderSourceTopic)), []byte(text(schemas.HeaderSourcePartition)), []byte(text(schemas.HeaderSourceOffset)))
	if err == nil {
		l.Source = source
	}
	from, _ := header(r.Headers, schemas.HeaderReplayedFrom)
	l.ReplayedFrom = string(from)
	return l
}

// ofLetters are the headers that only a letter, or an application replayed from
// one, should have. They are not carried on by a replay: a letter that comes back
// again and again would grow with every round.
var ofLetters = []string{
	schemas.HeaderErrorClass, schemas.HeaderErrorMessage, schemas.HeaderFailedAt,
	schemas.HeaderSourceTopic, schemas.HeaderSourcePartition, schemas.HeaderSourceOffset,
	schemas.HeaderValueDigest, schemas.HeaderValueBytes, schemas.HeaderValueTruncated,
	schemas.HeaderKeyDigest, schemas.HeaderKeyBytes, schemas.HeaderKeyTruncated,
	schemas.HeaderHeadersDigest, schemas.HeaderHeadersBytes, schemas.HeaderHeadersTruncated,
	schemas.HeaderReplayedFrom,
}

// original is the application that a letter was, to be scored again.
func original(r *kgo.Record, topics schemas.Topics) *kgo.Record {
	application := &kgo.Record{Topic: topics.Applications, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		if !slices.Contains(ofLetters, h.Key) {
			application.Headers = append(application.Headers, h)
		}
	}
	from := Position{r.Partition, r.Offset}.in(topics.DLQ)
	application.Headers = append(application.Headers, kgo.RecordHeader{Key: schemas.HeaderReplayedFrom, Value: []byte(from.String())})
	return application
}

// marker says that a letter was replayed.
func marker(r *kgo.Record, topics schemas.Topics) *kgo.Record {
	of := Position{r.Partition, r.Offset}
	return &kgo.Record{
		Topic: topics.DLQ, Partition: r.Partition,
		Headers: []kgo.RecordHeader{{Key: schemas.HeaderReplayOf, Value: []byte(of.String())}},
	}
}

// marked is the letter that a marker names.
func marked(r *kgo.Record) (Position, error) {
	of, _ := header(r.Headers, schemas.HeaderReplayOf)
	return ParsePosition(string(of))
}
