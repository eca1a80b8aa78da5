package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/segmentio/kafka-go"
)

// application is what the applications topic takes.
type application struct {
	ID        string            `json:"application_id"`
	AppliedAt string            `json:"applied_at"` // RFC 3339, UTC, at most six decimals
	Features  map[string]*int64 `json:"features"`   // nil: not known
}

// timeFormat is RFC 3339 as the contract has it.
const timeFormat = "2006-01-02T15:04:05.000000Z"

var featureNames = []string{
	"limit_bal", "sex", "education", "marriage", "age",
	"pay_0", "pay_2", "pay_3", "pay_4", "pay_5", "pay_6",
	"bill_amt1", "bill_amt2", "bill_amt3", "bill_amt4", "bill_amt5", "bill_amt6",
	"pay_amt1", "pay_amt2", "pay_amt3", "pay_amt4", "pay_amt5", "pay_amt6",
}

// parse makes a message of one line. What it does not look at, the ranges, the
// scorer does: an application that breaks a rule goes to the dead letters.
func parse(line string, now time.Time) (kafka.Message, error) {
	if !utf8.ValidString(line) { // the decoder would change what is not
		return kafka.Message{}, errors.New("expected UTF-8")
	}
	var a application
	d := json.NewDecoder(strings.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return kafka.Message{}, err
	}
	if d.More() {
		return kafka.Message{}, fmt.Errorf("application %q: something follows the object", a.ID)
	}
	if a.ID == "" || len(a.ID) > 128 {
		return kafka.Message{}, fmt.Errorf("application_id %q: expected 1 to 128 bytes of UTF-8", a.ID)
	}
	for _, name := range featureNames {
		if _, ok := a.Features[name]; !ok {
			return kafka.Message{}, fmt.Errorf("application %s: feature %s is absent; one that is not known is null", a.ID, name)
		}
	}
	if len(a.Features) != len(featureNames) {
		return kafka.Message{}, fmt.Errorf("application %s: has %d features, expected %d", a.ID, len(a.Features), len(featureNames))
	}
	if a.AppliedAt == "" {
		a.AppliedAt = now.UTC().Format(timeFormat)
	}
	value, err := json.Marshal(a)
	if err != nil {
		return kafka.Message{}, err
	}
	return kafka.Message{Key: []byte(a.ID), Value: value}, nil
}
