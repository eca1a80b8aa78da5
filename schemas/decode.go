package schemas

const idRule = "must be 1–128 bytes of UTF-8 without control characters"

// ValidApplicationID says whether the contract allows an application_id.
func ValidApplicationID(id []byte) bool {
	if len(id) == 0 || len(id) > MaxApplicationID {
		return false
	}
	for i, c := range id {
		// C0, DEL, and C1 as UTF-8 (0xc2 0x80 … 0x9f).
		if c < 0x20 || c == 0x7f || c == 0xc2 && i+1 < len(id) && id[i+1] < 0xa0 {
			return false
		}
	}
	return true // reader.text has seen that it is UTF-8
}

var applicationNames = []string{"application_id", "applied_at", "features"}

// DecodeApplication reads an application and checks every rule of the contract.
// The error is a *DecodeError or a *ContractError that lists every broken rule;
// a is then in no defined state. a shares no memory with value.
func DecodeApplication(value []byte, a *Application) error {
	r := reader{scanner: scanner{b: value}}
	r.applicationInto(a)
	return r.done()
}

func (r *reader) applicationInto(a *Application) {
	if !r.open() {
		return
	}
	seen := r.members(1, "", applicationNames, func(i int) {
		switch i {
		case 0:
			r.stringInto("application_id", &a.ApplicationID, ValidApplicationID, idRule)
		case 1:
			r.timestampInto("applied_at", &a.AppliedAt)
		case 2:
			r.featuresInto(&a.Features)
		}
	})
	r.require("", applicationNames, seen, 0)
}

// DecodeCutApplication reads the application_id of an application of which only the
// beginning was kept. It is known when the beginning names it and breaks no rule as
// far as it goes; a value in Avro is not read.
func DecodeCutApplication(beginning []byte) (id string, known bool) {
	var a Application
	r := reader{scanner: scanner{b: beginning}}
	r.applicationInto(&a)
	err := r.done()
	return a.ApplicationID, a.ApplicationID != "" && len(r.violations) == 0 && (err == nil || r.err.atEnd)
}

var outcomeNames = []string{"application_id", "defaulted", "observed_at"}

// DecodeOutcome reads an outcome. The error is a *DecodeError or a *ContractError.
func DecodeOutcome(value []byte, o *Outcome) error {
	r := reader{scanner: scanner{b: value}}
	if !r.open() {
		return r.err
	}
	seen := r.members(1, "", outcomeNames, func(i int) {
		switch i {
		case 0:
			r.stringInto("application_id", &o.ApplicationID, ValidApplicationID, idRule)
		case 1:
			o.Defaulted = uint8(r.integerInto("defaulted", 0, 1))
		case 2:
			r.timestampInto("observed_at", &o.ObservedAt)
		}
	})
	r.require("", outcomeNames, seen, 0)
	return r.done()
}
