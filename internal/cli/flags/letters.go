package flags

import "github.com/creditstream/creditstream/consumer/deadletters"

// Letters selects letters by why and when.
type Letters struct {
	Class []string `help:"Only letters of these classes: decode, contract, too-large, permanent; unknown is any other, foreign what has none and is no letter." enum:"decode,contract,too-large,permanent,unknown,foreign" placeholder:"CLASS" group:"Filters"`
	From  string   `help:"Only letters of applications that failed at this time or later: start or an RFC 3339 time." placeholder:"start|TIME" group:"Filters"`
	To    string   `help:"Only letters of applications that failed before this RFC 3339 time." placeholder:"TIME" group:"Filters"`
}

// Narrow says whether they leave anything out. The start does not: a --from that
// stands in the environment for another command must not select every letter.
func (f Letters) Narrow() bool {
	return len(f.Class) > 0 || f.From != "" && f.From != "start" || f.To != ""
}

// Config is the selection.
func (f Letters) Config() (s deadletters.Selection, err error) {
	s.Classes = f.Class
	if f.From != "" {
		if s.From, err = since(f.From); err != nil {
			return s, err
		}
	}
	if f.To != "" {
		if s.To, err = Time("to", f.To); err != nil {
			return s, err
		}
	}
	if !s.To.IsZero() && !s.From.Before(s.To) {
		return s, Usagef("--from %s --to %s: expected a time before --to", f.From, f.To)
	}
	return s, nil
}
