package deadletters

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/schemas"
)

func TestPositionsAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	p, err := ParsePosition("3/918")
	require.NoError(t, err)
	require.Equal(t, Position{3, 918}, p)
	require.Equal(t, "3/918", p.String())
	for _, text := range []string{"", "3", "/", "3/", "/918", "a/1", "1/b", "-1/2", "1/-2", "1/2/3", "99999999999/1"} {
		_, err := ParsePosition(text)
		require.ErrorContains(t, err, "expected PARTITION/OFFSET", text)
	}
}

func TestALetterSaysWhatTheScorerAdded(t *testing.T) {
	t.Parallel()
	r := &kgo.Record{
		Partition: 2, Offset: 7, Key: []byte("A-1"), Value: []byte("{"), Timestamp: noon.Add(time.Hour),
		Headers: append(headers("trace", "x"), letterHeaders(5, "decode", "value-digest", "sha256:ab", "value-truncated", "true")...),
	}
	require.Equal(t, Letter{
		Position: Position{2, 7}, FailedAt: noon.Add(5 * time.Minute), Class: "decode", Message: "features.age 905: must be 18 … 120",
		Source: schemas.Source{Topic: "t.applications", Partition: 2, Offset: 1005},
		Cut:    Cut{Value: Part{Cut: true, Digest: "sha256:ab", Bytes: -1}, Key: Part{Bytes: -1}, Headers: Part{Bytes: -1}}, Key: []byte("A-1"), Value: []byte("{"),
	}, parse(r))
	require.False(t, IsMarker(r))
}

// Whoever emits applications may give them any headers.
func TestReceivedHeadersAreNotTakenForTheScorers(t *testing.T) {
	t.Parallel()
	r := &kgo.Record{Headers: append(
		headers("replay-of", "0/1", "value-truncated", "true", "value-digest", "sha256:00", "error-class", "mine", "source-topic", "mine", "replayed-from", "t.applications.dlq/1/2"),
		letterHeaders(1, "contract")...)}
	l := parse(r)
	require.Equal(t, "contract", l.Class)
	require.Equal(t, Cut{}, l.Cut)
	require.Equal(t, "t.applications", l.Source.Topic)
	require.Equal(t, "t.applications.dlq/1/2", l.ReplayedFrom)
	require.False(t, IsMarker(r))
	require.True(t, IsMarker(&kgo.Record{Headers: headers("replay-of", "0/1")}))
	require.False(t, IsMarker(&kgo.Record{}))
}

func TestALetterWithMalformedHeadersIsStillALetter(t *testing.T) {
	t.Parallel()
	r := &kgo.Record{Timestamp: noon, Headers: headers("error-class", "later", "failed-at", "yesterday", "source-topic", "t.applications", "source-partition", "x", "source-offset", "1")}
	l := parse(r)
	require.Equal(t, noon, l.FailedAt)
	require.Equal(t, "later", l.Class)
	require.Equal(t, schemas.Source{}, l.Source)
	require.Contains(t, Line(&l), "unknown")
	require.Equal(t, noon, parse(&kgo.Record{Timestamp: noon}).FailedAt)
}

func TestAReplayHandsInWhatWasReceived(t *testing.T) {
	t.Parallel()
	topics := schemas.NewTopics("t")
	received := headers("trace", "x", "trace", "y", "source", "branch 7", "error", "none")
	r := &kgo.Record{
		Topic: topics.DLQ, Partition: 2, Offset: 7, Key: []byte("A-1"), Value: []byte("{"),
		Headers: append(append([]kgo.RecordHeader{}, received...), letterHeaders(5, "decode", "value-digest", "sha256:ab", "value-truncated", "true")...),
	}
	want := append(append([]kgo.RecordHeader{}, received...), headers("replayed-from", "t.applications.dlq/2/7")...)
	require.Equal(t, &kgo.Record{Topic: topics.Applications, Key: r.Key, Value: r.Value, Headers: want}, original(r, topics))
	require.Equal(t, &kgo.Record{Topic: topics.DLQ, Partition: 2, Headers: headers("replay-of", "2/7")}, marker(r, topics))

	// The letter of what was replayed is replayed with as many headers.
	again := &kgo.Record{Topic: topics.DLQ, Partition: 1, Offset: 9, Headers: append(want, letterHeaders(6, "decode")...)}
	require.Equal(t, append(append([]kgo.RecordHeader{}, received...), headers("replayed-from", "t.applications.dlq/1/9")...), original(again, topics).Headers)
}

func TestSelections(t *testing.T) {
	t.Parallel()
	l := Letter{Position: Position{1, 5}, Class: "contract", FailedAt: noon}
	f := func(want bool, s Selection) {
		t.Helper()
		require.Equal(t, want, s.matcher()(&l), "%+v", s)
	}
	f(true, Selection{})
	f(true, Selection{Positions: []Position{{0, 0}, {1, 5}}})
	f(false, Selection{Positions: []Position{{5, 1}}})
	f(true, Selection{Classes: []string{"decode", "contract"}})
	f(false, Selection{Classes: []string{"decode"}})
	f(true, Selection{From: noon})
	f(false, Selection{From: noon.Add(1)})
	f(false, Selection{To: noon})
	f(true, Selection{To: noon.Add(1)})
	f(false, Selection{From: noon, To: noon.Add(1), Classes: []string{"decode"}})
}

func TestClassesAreNumbered(t *testing.T) {
	t.Parallel()
	f := func(want string, l Letter) {
		t.Helper()
		require.Equal(t, want, (chosen | cut | l.classNumber()<<classShift).className())
		require.Equal(t, want, l.class())
		require.True(t, (&Selection{Classes: []string{want}}).matcher()(&l), "every class shown can be asked for")
	}
	for _, class := range []string{"decode", "contract", "too-large", "permanent", "unknown"} {
		f(class, Letter{Class: class})
	}
	f("foreign", Letter{Foreign: true})
}

func TestNothingOfAnApplicantIsShown(t *testing.T) {
	t.Parallel()
	f := func(key, want string) {
		t.Helper()
		l := Letter{Key: []byte(key), Value: []byte("secret"), Message: "m"}
		require.Contains(t, Line(&l), "  "+want+"  ")
		require.NotContains(t, Line(&l), "secret")
		text, err := json.Marshal(l.JSON())
		require.NoError(t, err)
		if want != key {
			require.Contains(t, string(text), `"key":null`)
		} else {
			require.Contains(t, string(text), `"key":"`+key+`"`)
		}
	}
	f("A-000123", "A-000123")
	f("Müller 7", "Müller 7")
	f(`{"age": 34}`, "(11 bytes)")
	f(strings.Repeat("x", 129), "(129 bytes)")
	f("a\x1b[2Jb", "(6 bytes)")
	f("\xff", "(1 bytes)")
	f("a\u202eb", "(5 bytes)")
	f("", "(0 bytes)")
	require.Contains(t, Line(&Letter{}), "  -  ")
	require.NotContains(t, Line(&Letter{Message: "\x1b]0;x\a\n"}), "\x1b")
}

func TestLettersAsLines(t *testing.T) {
	t.Parallel()
	l := Letter{
		Position: Position{3, 918}, FailedAt: noon, Class: "contract", Message: `features.age "x": must be a whole number`,
		Source: schemas.Source{Topic: "credit.applications", Partition: 1, Offset: 77}, Key: []byte("A-1"),
		Cut: Cut{Value: Part{Cut: true, Digest: "sha256:ab", Bytes: 70_000}}, Replayed: true,
	}
	require.Equal(t, "3/918       2026-11-23T12:00:00.000Z  contract   credit.applications/1/77        A-1                       features.age \"x\": must be a whole number (value cut) (replayed)\n", Line(&l))
	require.True(t, strings.HasPrefix(Header(), "LETTER      FAILED AT"))

	l.Value, l.ReplayedFrom = []byte("a\xff"), "credit.applications.dlq/1/2"
	text, err := json.Marshal(l.JSON())
	require.NoError(t, err)
	require.JSONEq(t, `{"letter": "3/918", "partition": 3, "offset": 918, "failed_at": "2026-11-23T12:00:00Z", "error_class": "contract",
		"error_message": "features.age \"x\": must be a whole number", "source": "credit.applications/1/77", "key": "A-1", "key_bytes": 3,
		"truncated": true, "cut": ["value"], "value_digest": "sha256:ab", "value_bytes": 70000, "replayed_from": "credit.applications.dlq/1/2", "replayed": true, "value_base64": "Yf8="}`, string(text))
}

// A key of which only the beginning is there is no application_id.
func TestLetter_NamesWhatWasCut(t *testing.T) {
	t.Parallel()
	r := &kgo.Record{Key: []byte("A-1"), Headers: letterHeaders(1, "decode", "value-digest", "sha256:ab", "value-bytes", "2",
		"key-digest", "sha256:cd", "key-bytes", "3145728", "key-truncated", "true", "headers-digest", "sha256:ef", "headers-bytes", "7", "headers-truncated", "true")}
	l := parse(r)
	require.Equal(t, Cut{Key: Part{true, "sha256:cd", 3145728}, Headers: Part{true, "sha256:ef", 7}, Value: Part{false, "sha256:ab", 2}}, l.Cut)
	require.Contains(t, Line(&l), "  (3145728 bytes)  ")
	require.Contains(t, Line(&l), "(key, headers cut)")
	text, err := json.Marshal(l.JSON())
	require.NoError(t, err)
	require.Contains(t, string(text), `"key":null,"key_bytes":3145728,"truncated":true,"cut":["key","headers"],"value_digest":"sha256:ab","value_bytes":2`)
	digest, cut := WasCut(r)
	require.True(t, cut, "verify must not compare what is kept")
	require.Equal(t, "sha256:ab", digest)
}

// Whatever stands in a letter, it is read, shown on one line and handed in with the
// headers received.
func FuzzLetter(f *testing.F) {
	f.Add("error-class", "decode", "source-offset", "1", "replay-of", "1/2")
	f.Add("replay-of", "1/2", "failed-at", "2026-11-23T12:00:00Z", "value-truncated", "true")
	f.Add("trace", "x", "error-message", "\x1b", "replayed-from", "")
	topics := schemas.NewTopics("t")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2, k3, v3 string) {
		r := &kgo.Record{Topic: topics.DLQ, Partition: 1, Offset: 2, Key: []byte(v1), Value: []byte(v2), Headers: headers(k1, v1, k2, v2, k3, v3)}
		l := parse(r)
		line := Line(&l) + ValueLine(&l)
		require.Equal(t, 2, strings.Count(line, "\n"))
		require.NotContains(t, line, "\x1b")
		_, err := json.Marshal(l.JSON())
		require.NoError(t, err)
		if _, err := marked(r); err == nil {
			of, _ := header(r.Headers, schemas.HeaderReplayOf)
			require.NotEmpty(t, of)
		}
		application := original(r, topics)
		require.LessOrEqual(t, len(application.Headers), 4)
		from, ok := header(application.Headers, schemas.HeaderReplayedFrom)
		require.True(t, ok)
		require.Equal(t, "t.applications.dlq/1/2", string(from))
	})
}

func TestLetter_NamesItsApplicationByThePayload(t *testing.T) {
	t.Parallel()
	a := schemas.Application{ApplicationID: "A-1", AppliedAt: 5}
	for k, rule := range schemas.FeatureRules {
		a.Features[k] = rule.Min
	}
	whole := schemas.AppendApplication(nil, &a)
	for _, c := range []struct {
		value string
		cut   bool
		want  string // "": it is not known
	}{
		{string(whole), false, "A-1"},
		{string(whole[:len(whole)-9]), true, "A-1"},
		{string(whole[:len(whole)-9]), false, ""},
		{`{"application_id":"A-1"}`, false, ""}, // breaks the contract
		{`{"application_id":"A-`, true, ""},
		{"\x00\x00\x00\x00\x01\x06A-1", true, ""}, // Avro, and no registry
	} {
		l := Letter{Value: []byte(c.value), Key: []byte("of another"), Cut: Cut{Value: Part{Cut: c.cut}}}
		id, known, err := l.Application(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, c.want != "", known, c.value)
		if known {
			require.Equal(t, c.want, id)
		}
	}
}
