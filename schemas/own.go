package schemas

import (
	"encoding/base64"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// decodeOwn reads a record of those that creditstream alone writes into a struct, by the
// json tags of its fields: all but those with omitempty are required, and null is no value
// of any. The tag own says what a value may be: of a text, "filled" or the words that it
// is one of; of a number, the least (0 without it) or "any". The error is a *DecodeError
// or a *ContractError.
func decodeOwn(value []byte, into any) error {
	r := reader{scanner: scanner{b: value}}
	if !r.open() {
		return r.err
	}
	r.structInto("", 1, reflect.ValueOf(into).Elem())
	return r.done()
}

func (r *reader) structInto(prefix string, depth int, v reflect.Value) {
	of := v.Type()
	names := make([]string, of.NumField())
	optional := uint32(0)
	for i := range names {
		name, options, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		names[i] = name
		if options == "omitempty" {
			optional |= 1 << i
		}
	}
	seen := r.members(depth, prefix, names, func(i int) {
		r.valueInto(prefix+names[i], depth, v.Field(i), of.Field(i).Tag.Get("own"))
	})
	r.require(prefix, names, seen, optional)
}

func (r *reader) valueInto(field string, depth int, v reflect.Value, own string) {
	switch to := v.Addr().Interface().(type) {
	case *Timestamp:
		r.timestampInto(field, to)
	case *[]byte:
		*to = r.base64Into(field)
	case *string:
		switch own {
		case "":
			r.stringInto(field, to, anyText, textRule)
		case "filled":
			r.stringInto(field, to, notEmpty, notEmptyRule)
		default:
			r.stringInto(field, to, oneOf(strings.Split(own, ",")...), "must be "+strings.ReplaceAll(own, ",", " or "))
		}
	case *bool:
		*to = r.boolInto(field)
	case *float64:
		if own == "any" {
			*to = r.doubleInto(field, -math.MaxFloat64, math.MaxFloat64, "must be a number")
		} else {
			*to = r.doubleInto(field, 0, math.MaxFloat64, fromZeroRule)
		}
	case *int64:
		*to = r.wholeInto(field, own, math.MaxInt64)
	case *int32:
		*to = int32(r.wholeInto(field, own, math.MaxInt32))
	default:
		r.partInto(field, depth, v, own)
	}
}

// partInto reads an object or a list.
func (r *reader) partInto(field string, depth int, v reflect.Value, own string) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		r.valueInto(field, depth, v.Elem(), own)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		if !r.array(field, depth) {
			return
		}
		for first := true; r.more(first, ']'); first = false {
			one := reflect.New(v.Type().Elem()).Elem()
			r.valueInto(field+"."+strconv.Itoa(v.Len()), depth+1, one, own)
			v.Set(reflect.Append(v, one))
		}
	default:
		if r.object(field, depth, objectRule) {
			r.structInto(field+".", depth+1, v)
		}
	}
}

// boolInto reads true or false.
func (r *reader) boolInto(field string) bool {
	from := r.i
	c := r.peek()
	if r.skip(1) && c != 't' && c != 'f' {
		r.violate(field, from, "must be true or false")
	}
	return c == 't'
}

// wholeInto reads a whole number of a least one on.
func (r *reader) wholeInto(field, least string, high int64) int64 {
	low := int64(0)
	if least != "" {
		low, _ = strconv.ParseInt(least, 10, 64) // the tags have numbers
	}
	from := r.i
	v, ok := r.integer()
	if !ok || v < low || v > high {
		r.violate(field, from, "must be a whole number from "+strconv.FormatInt(low, 10))
	}
	return v
}

// base64Into reads bytes.
func (r *reader) base64Into(field string) []byte {
	from := r.i
	text, ok := r.text(r.scratch)
	b, err := base64.StdEncoding.Strict().DecodeString(string(text))
	if !ok || err != nil {
		r.violate(field, from, "must be a text in base64")
	}
	return b
}

// filled is a list as the contract has it, empty instead of null.
func filled[E any](list []E) []E {
	if list == nil {
		return []E{}
	}
	return list
}
