package wire

import (
	"errors"
	"strconv"

	"github.com/creditstream/creditstream/schemas"
)

// ErrNoRegistry is what a Codec without a registry says of a value in Avro.
var ErrNoRegistry = errors.New("takes a schema registry to read: set --schema-registry")

var errUnknownSchema = errors.New("the schema registry knows no such schema")

// schemaError is a value whose schema is not there or does not fit. To whoever
// asks, it is a *schemas.DecodeError.
type schemaError struct {
	id  uint32
	why error
}

func (e *schemaError) Error() string {
	return "Avro schema id " + strconv.FormatUint(uint64(e.id), 10) + ": " + e.why.Error()
}

func (e *schemaError) Unwrap() []error {
	return []error{e.why, &schemas.DecodeError{Msg: e.Error()}}
}

// IsUnread says of a decoding error whether the value could not be read for want of its
// schema, which a registry might give: there is none, or it refuses that id. Who
// judges values says that this one was not judged.
func IsUnread(err error) bool { return errors.Is(err, ErrNoRegistry) || errors.Is(err, errRefused) }

// IsBroken says whether a decoding error is the value's own: it is not an event of
// the contract, however often it is read. Otherwise nobody could tell, and it is
// to be read again.
func IsBroken(err error) bool {
	_, decode := errors.AsType[*schemas.DecodeError](err)
	_, contract := errors.AsType[*schemas.ContractError](err)
	return decode || contract
}
