package deadletters

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/creditstream/creditstream/schemas"
)

const lineFormat = "%-10s  %-24s  %-9s  %-30s  %-24s  %s\n"

// Header names the columns of Line.
func Header() string {
	return fmt.Sprintf(lineFormat, "LETTER", "FAILED AT", "CLASS", "SOURCE", "KEY", "MESSAGE")
}

// Line is a letter as one line: where, when, why, and which application.
func Line(l *Letter) string {
	source := "-"
	if l.Source.Topic != "" {
		source = l.Source.String()
	}
	message := printable(l.Message)
	if l.Cut.Any() {
		message += " (" + strings.Join(l.Cut.names(), ", ") + " cut)"
	}
	if l.Replayed {
		message += " (replayed)"
	}
	return fmt.Sprintf(lineFormat, l.Position, l.FailedAt.Format("2006-01-02T15:04:05.000Z"), l.class(), printable(source), l.key(), message)
}

// ValueLine is a letter's value as one line under it.
func ValueLine(l *Letter) string {
	return "    " + printable(string(l.Value)) + "\n"
}

// class is the class as it is shown: one of Classes.
func (l *Letter) class() string { return Classes()[l.classNumber()] }

// key is the key where it can be an application_id, and its size where it cannot:
// a producer may have put anything there, features too.
func (l *Letter) key() string {
	switch id, ok := l.applicationID(); {
	case ok:
		return id
	case l.Key == nil && !l.Cut.Key.Cut:
		return "-"
	}
	return fmt.Sprintf("(%d bytes)", l.keyBytes())
}

// keyBytes is the size of the key as received.
func (l *Letter) keyBytes() int64 {
	if l.Cut.Key.Cut && l.Cut.Key.Bytes >= 0 {
		return l.Cut.Key.Bytes
	}
	return int64(len(l.Key))
}

func (l *Letter) applicationID() (id string, ok bool) {
	id = string(l.Key)
	ok = !l.Cut.Key.Cut && schemas.ValidApplicationID(l.Key) && utf8.ValidString(id) && !strings.ContainsAny(id, `{}"`) &&
		strings.IndexFunc(id, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
	return id, ok
}

// printable is a text that a terminal shows and does not obey.
func printable(text string) string {
	quoted := strconv.Quote(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// Letters as programs read them.
type jsonLetter struct {
	Letter       string            `json:"letter"` // partition/offset
	Partition    int32             `json:"partition"`
	Offset       int64             `json:"offset"`
	FailedAt     schemas.Timestamp `json:"failed_at"`
	Class        string            `json:"error_class"` // unknown where it is not one of the contract's, foreign without one
	Message      string            `json:"error_message"`
	Source       *string           `json:"source"`    // topic/partition/offset; null where no headers say
	Key          *string           `json:"key"`       // null where it cannot be an application_id
	KeyBytes     int64             `json:"key_bytes"` // as received
	Truncated    bool              `json:"truncated"` // anything of it
	Cut          []string          `json:"cut,omitempty"`
	Digest       string            `json:"value_digest,omitempty"`
	ValueBytes   *int64            `json:"value_bytes,omitempty"` // as received, where anything was cut
	ReplayedFrom string            `json:"replayed_from,omitempty"`
	Replayed     bool              `json:"replayed"`
	Value        *string           `json:"value,omitempty"`        // when asked for and UTF-8
	ValueBase64  *string           `json:"value_base64,omitempty"` // when asked for and not UTF-8
}

// JSON is what encoding/json makes a letter's object of, its value included where
// it was kept.
func (l *Letter) JSON() any {
	j := jsonLetter{
		Letter: l.String(), Partition: l.Partition, Offset: l.Offset, FailedAt: schemas.At(l.FailedAt),
		Class: l.class(), Message: l.Message, KeyBytes: l.keyBytes(), Truncated: l.Cut.Any(), Cut: l.Cut.names(), Digest: l.Cut.Value.Digest,
		ReplayedFrom: l.ReplayedFrom, Replayed: l.Replayed,
	}
	if l.Cut.Any() && l.Cut.Value.Bytes >= 0 {
		j.ValueBytes = &l.Cut.Value.Bytes
	}
	if l.Source.Topic != "" {
		source := l.Source.String()
		j.Source = &source
	}
	if id, ok := l.applicationID(); ok {
		j.Key = &id
	}
	if l.Value != nil {
		if text := string(l.Value); utf8.ValidString(text) {
			j.Value = &text
		} else {
			text = base64.StdEncoding.EncodeToString(l.Value)
			j.ValueBase64 = &text
		}
	}
	return j
}
