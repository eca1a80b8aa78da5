package schemas

import (
	"encoding/json"
	"unicode/utf8"
)

// plain reads a record's values with encoding/json, slow and plain, and notes
// whether all of them kept the contract.
type plain struct{ ok bool }

func (p *plain) object(raw []byte) map[string]json.RawMessage {
	m, twice, err := members(raw)
	p.ok = p.ok && err == nil && !twice
	return m
}

func (p *plain) text(raw json.RawMessage, empty bool) (s string) {
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil || !utf8.Valid(raw) || !empty && s == "" {
		p.ok = false
	}
	return s
}

func (p *plain) instant(raw json.RawMessage) (at Timestamp) {
	p.ok = p.ok && len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &at) == nil
	return at
}

func (p *plain) number(raw json.RawMessage) (v float64) {
	p.ok = p.ok && string(raw) != "null" && json.Unmarshal(raw, &v) == nil
	return v
}

func (p *plain) array(raw json.RawMessage) (items []json.RawMessage) {
	p.ok = p.ok && string(raw) != "null" && json.Unmarshal(raw, &items) == nil
	return items
}
