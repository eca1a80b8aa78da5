package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/twmb/franz-go/pkg/sr"
)

const (
	// maxWords bounds what is quoted of an answer, in bytes.
	maxWords = 200
	// maxQuoted bounds what is looked at for that: a page may begin with blanks.
	maxQuoted = 4 << 10
)

// answerError is an answer to a question about a schema that is neither the schema
// nor that there is none. Silence is no answer.
type answerError struct {
	error
	words string
	login bool
	later bool
}

// Refusal is what was answered, in one short line without control characters. login
// says that it may be about who asks instead of what was asked for.
func (e *answerError) Refusal() (words string, login bool) { return e.words, e.login }

// Later says that the answer asks to come back later.
func (e *answerError) Later() bool { return e.later }

func (e *answerError) Unwrap() error { return e.error }

// asksForLater says whether a status means that whoever answered did not reach the
// registry, or asks to come back later.
func asksForLater(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// printable is the beginning of a text that somebody else wrote, in one line.
func printable(text string) string {
	text = strings.ToValidUTF8(text[:min(len(text), maxQuoted)], "")
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if len(text) > maxWords {
		text = strings.ToValidUTF8(text[:maxWords], "") + "…"
	}
	return text
}

// message is what an error answer says for itself.
func message(answer *sr.ResponseError) string {
	said := answer.Message
	if said == "" {
		said = string(answer.Raw[:min(len(answer.Raw), maxQuoted)])
	}
	return fmt.Sprintf("HTTP %d: %s", answer.StatusCode, printable(said))
}

const notARegistry = "the answer is not what a schema registry answers (check --schema-registry)"

// strange says of an answer that could not be decoded what is wrong with it, without
// the names of this program's types; ok is false where err is about something else.
func strange(err error) (words string, ok bool) {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		words = "unexpected JSON " + wrong.Value
		if wrong.Field != "" {
			words += " in " + wrong.Field
		}
		return notARegistry + ": " + printable(words), true
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return notARegistry + ": it is not JSON", true
	}
	return "", false
}

// tooLargeError is an answer beyond maxAnswer.
type tooLargeError struct{}

func (tooLargeError) Error() string { return fmt.Sprintf("the answer exceeds %d MiB", maxAnswer>>20) }

// boundedBody fails where more than left bytes come.
type boundedBody struct {
	io.ReadCloser
	left int
}

// Read is part of io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if n > b.left {
		return b.left, tooLargeError{}
	}
	b.left -= n
	return n, err
}

// redirectError is a redirect that is not followed.
type redirectError struct{ why string }

func (e redirectError) Error() string { return e.why }

// trail is where a question was redirected to.
type trail struct{ last *url.URL }

type trailKey struct{}

// where is the last place, without what may be secret in it; "" where nothing
// was redirected.
func (t *trail) where() string {
	if t.last == nil {
		return ""
	}
	return printable("redirected to " + (&url.URL{Scheme: t.last.Scheme, Host: t.last.Host, Path: t.last.Path}).String())
}

// refusal is what an error of a question says of what was asked for; nil where it
// is silence.
func refusal(err error, sent *trail) *answerError {
	if answer, ok := errors.AsType[*sr.ResponseError](err); ok {
		login := answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden
		return &answerError{words: message(answer), login: login, later: asksForLater(answer.StatusCode)}
	}
	if large, ok := errors.AsType[tooLargeError](err); ok {
		return &answerError{words: large.Error()}
	}
	if redirect, ok := errors.AsType[redirectError](err); ok {
		return &answerError{words: printable(redirect.Error()), login: true}
	}
	if sent.last != nil { // the registry answered; who it named did not
		return &answerError{words: sent.where(), login: true}
	}
	return nil
}

// Schema is the text of a schema. known is false where the registry has none of
// this id. Any other answer is an error with a method Refusal; an error without one
// is silence.
func (c *Client) Schema(ctx context.Context, id uint32) (text string, known bool, err error) {
	if id > math.MaxInt32 {
		return "", false, nil // ids are Java's ints
	}
	var (
		body []byte
		sent trail
	)
	doing := fmt.Sprintf("looking for schema id %d", id)
	err = c.client.Do(context.WithValue(ctx, trailKey{}, &sent), http.MethodGet, fmt.Sprintf("/schemas/ids/%d", id), nil, &body)
	if answer, ok := errors.AsType[*sr.ResponseError](err); ok && answer.ErrorCode == sr.ErrSchemaNotFound.Code {
		return "", false, nil
	}
	if err != nil {
		explained := c.explain(doing, err)
		if ctx.Err() == nil {
			if refused := refusal(err, &sent); refused != nil {
				refused.error = explained
				return "", false, refused
			}
		}
		return "", false, explained
	}
	var s sr.Schema
	if err := json.Unmarshal(body, &s); err != nil || s.Schema == "" {
		words := "no schema in the answer: " + printable(string(body[:min(len(body), maxQuoted)]))
		if where := sent.where(); where != "" {
			words = where + ": " + words
		}
		return "", false, &answerError{
			error: fmt.Errorf("schema registry %s: %s: HTTP 200: %s", c.url, doing, words),
			words: "HTTP 200: " + words, login: sent.last != nil,
		}
	}
	return s.Schema, true, nil
}

// Gives says whether the registry gives a subject's latest schema: then whoever asks
// is let in, and may read that subject.
func (c *Client) Gives(ctx context.Context, subject string) (bool, error) {
	const latest = -1
	found, err := c.client.SchemaByVersion(ctx, subject, latest)
	if err != nil {
		return false, c.explain("looking for the latest schema of "+subject, err)
	}
	return found.Schema.Schema != "", nil
}
