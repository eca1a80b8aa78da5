package producer

import (
	"bytes"
	"fmt"

	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// Kind is a way in which a record breaks the contract.
type Kind uint8

// Kinds of malformed records.
const (
	NotJSON      Kind = iota // text, cut JSON, bytes that are no UTF-8, nothing
	MissingField             // a feature is absent
	OutOfRange               // a feature is outside its range
	WrongType                // a text or a fraction where a whole number belongs
	DuplicateKey             // a feature stands twice
	TooLarge                 // an application_id of 64 KiB
	NumKinds
)

var kindNames = [NumKinds]string{"not-json", "missing-field", "out-of-range", "wrong-type", "duplicate-key", "too-large"}

func (k Kind) String() string {
	if k < NumKinds {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", k)
}

// tooLargeBytes is the size of a TooLarge record's id.
const tooLargeBytes = 64 << 10

// mixer says where malformed records go: spread evenly, as a share of the
// applications in millionths, so that n applications come with exactly
// n × share of them, each kind in turn. Where depends on the application's
// number alone.
type mixer struct {
	perMillion uint64
}

// after is how many malformed records had been emitted in all by application n.
func (m mixer) before(n uint64) uint64 {
	return n/1_000_000*m.perMillion + n%1_000_000*m.perMillion/1_000_000
}

// at says whether a malformed record follows application n, and which: the
// serial counts them over the whole stream.
func (m mixer) at(n uint64) (serial uint64, ok bool) {
	if m.perMillion == 0 {
		return 0, false
	}
	serial = m.before(n)
	return serial, m.before(n+1) > serial
}

// AppendMalformed appends a record that breaks the contract as kind says, made
// from a valid application. Variant picks which field, and which of several ways.
// What can be said in Avro is, where the codec writes that; what only JSON can say
// stays JSON.
func AppendMalformed(dst []byte, codec *wire.Codec, kind Kind, variant uint64, a *schemas.Application) []byte {
	start := len(dst)
	feature := variant % schemas.NumFeatures
	rule := &schemas.FeatureRules[feature]
	switch kind {
	case NotJSON:
		switch variant % 4 {
		case 0:
			return append(dst, "limit_bal=200000;sex=2;education=2"...)
		case 1:
			dst = codec.AppendApplication(dst, a)
			return dst[:start+(len(dst)-start)/2]
		case 2:
			return append(dst, 0xff, 0xfe, 0x00, '{', 0x80, '}')
		}
		return dst
	case TooLarge:
		large := *a
		large.ApplicationID = string(bytes.Repeat([]byte{'x'}, tooLargeBytes))
		return codec.AppendApplication(dst, &large)
	case OutOfRange:
		broken := *a
		broken.Features[feature] = rule.Max + 1 + int32(variant%1000)
		return codec.AppendApplication(dst, &broken)
	}
	dst = schemas.AppendApplication(dst, a)
	name := `"` + rule.Name + `":`
	at := start + bytes.Index(dst[start:], []byte(name))
	end := at + bytes.IndexAny(dst[at:], ",}")
	var field string
	switch kind {
	case MissingField:
		// Renamed: what is left is still an object.
		field = `"former_` + rule.Name + `":` + string(dst[at+len(name):end])
	case DuplicateKey:
		field = string(dst[at:end]) + "," + string(dst[at:end])
	default:
		field = name + [...]string{`"n/a"`, `1.5`, `true`, `[1]`}[variant%4]
	}
	rest := append([]byte(field), dst[end:]...)
	return append(dst[:at], rest...)
}
