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
	s.From, s.To, err = Stretch{From: f.From, To: f.To}.Config()
	return s, err
}
