package schemas

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/avro"
)

// AvroReader reads one kind of event as one Avro schema wrote it, by Avro's rules
// of resolution: fields are matched by name, those that this version does not
// know are passed over, those that the writer did not have take their defaults.
// It is safe for concurrent use.
type AvroReader struct {
	// resolved reads what the writer wrote; nil where that is laid out as this
	// version writes it, which is read without a detour.
	resolved *avro.Schema
	// beginning reads what the writer wrote of an application up to its application_id; nil
	// where it cannot.
	beginning *avro.Schema
}

// NewAvroReader makes a reader of what a schema has written. The error says what
// makes the schema unreadable as that event.
func NewAvroReader(e Event, writer string) (*AvroReader, error) {
	w, err := parseAvro(writer)
	if err != nil {
		return nil, err
	}
	r, err := avro.Parse(AvroSchema(e))
	if err != nil {
		return nil, err
	}
	if err := readable(w, r); err != nil {
		return nil, fmt.Errorf("cannot be read as %s: %w", e, err)
	}
	var beginning *avro.Schema
	if e == EventApplication { // of which dead letters keep what fits
		beginning = beginningOf(writer)
	}
	if bytes.Equal(w.Canonical(), r.Canonical()) {
		return &AvroReader{beginning: beginning}, nil
	}
	resolved, err := avro.Resolve(w, r)
	if err != nil {
		return nil, fmt.Errorf("cannot be read as %s: %w", e, err)
	}
	return &AvroReader{resolved, beginning}, nil
}

func parseAvro(text string) (*avro.Schema, error) {
	s, err := avro.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("is not an Avro schema: %w", err)
	}
	return s, nil
}

// readable says why what the writer wrote cannot be read as the reader has it.
func readable(writer, reader *avro.Schema) error {
	if err := sameMeaning(writer.Root().ExpandReferences(), reader.Root().ExpandReferences(), ""); err != nil {
		return err
	}
	return avro.CheckCompatibility(writer, reader)
}

// sameMeaning refuses what resolution lets through and the contract does not. An
// instant in another unit would be read as one a thousand times as far away (one
// without a unit says the same number); and a field that the writer does not have
// must have a default in so many words, where the library takes null for one.
func sameMeaning(writer, reader *avro.SchemaNode, prefix string) error {
	writer, reader = record(writer), record(reader)
	if writer == nil || reader == nil {
		return nil
	}
	for i := range reader.Fields {
		field := &reader.Fields[i]
		name := prefix + field.Name
		k := slices.IndexFunc(writer.Fields, func(f avro.SchemaField) bool { return f.Name == field.Name })
		if k < 0 {
			if !field.HasDefault {
				return fmt.Errorf("%s is missing and has no default", name)
			}
			continue
		}
		have, want := writer.Fields[k].Type, field.Type
		if have.LogicalType != "" && want.LogicalType != "" && have.LogicalType != want.LogicalType {
			return fmt.Errorf("%s is %s, expected %s", name, have.LogicalType, want.LogicalType)
		}
		if err := sameMeaning(&have, &want, name+"."); err != nil {
			return err
		}
	}
	return nil
}

// record is the record that a node is, or that its items or one branch of it are.
func record(n *avro.SchemaNode) *avro.SchemaNode {
	switch n.Type {
	case "record":
		return n
	case "array":
		return record(n.Items)
	case "union":
		for i := range n.Branches {
			if r := record(&n.Branches[i]); r != nil {
				return r
			}
		}
	}
	return nil
}

// CheckAvro says why a schema is not fully compatible with one that was published
// before: each must read what the other wrote.
func CheckAvro(published, next string) error {
	before, err := parseAvro(published)
	if err != nil {
		return err
	}
	after, err := parseAvro(next)
	if err != nil {
		return err
	}
	if err := readable(before, after); err != nil {
		return fmt.Errorf("what it has written could not be read: %w", err)
	}
	if err := readable(after, before); err != nil {
		return fmt.Errorf("who reads with it could not read the new: %w", err)
	}
	return nil
}

// Application reads an application; see DecodeAvroApplication.
func (r *AvroReader) Application(body []byte, a *Application) error {
	body, err := r.relay(body)
	if err != nil {
		return err
	}
	return DecodeAvroApplication(body, a)
}

// Prediction reads a prediction; see DecodeAvroPrediction.
func (r *AvroReader) Prediction(body []byte, p *Prediction) error {
	body, err := r.relay(body)
	if err != nil {
		return err
	}
	return DecodeAvroPrediction(body, p)
}

// Outcome reads an outcome; see DecodeAvroOutcome.
func (r *AvroReader) Outcome(body []byte, o *Outcome) error {
	body, err := r.relay(body)
	if err != nil {
		return err
	}
	return DecodeAvroOutcome(body, o)
}

// relay lays out what another schema wrote as this version's does, so that one
// reader checks all. It costs some microseconds.
func (r *AvroReader) relay(body []byte) ([]byte, error) {
	if r.resolved == nil {
		return body, nil
	}
	var v any
	rest, err := r.resolved.Decode(body, &v, avro.AliasInput())
	if err != nil {
		return nil, unreadable(err)
	}
	if len(rest) > 0 {
		return nil, &DecodeError{Msg: "Avro byte " + strconv.Itoa(len(body)-len(rest)) + ": expected the end, found " + strconv.Itoa(len(rest)) + " more bytes"}
	}
	laid, err := r.resolved.AppendEncode(nil, v) // as the reader's schema has it
	if err != nil {
		return nil, unreadable(err)
	}
	return laid, nil
}

// unreadable is what is said of a body that the library cannot read: where, and not
// what it found there, which may be a feature.
func unreadable(err error) *DecodeError {
	where := "the value"
	if s, ok := errors.AsType[*avro.SemanticError](err); ok && s.Field != "" {
		where = shorten(s.Field)
	}
	return &DecodeError{Msg: "Avro: " + where + " is not what its schema says"}
}
