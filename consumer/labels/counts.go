package labels

// Counts say what became of outcomes, by the names that drift counts them by.
type Counts struct {
	Read       int64 `json:"read"`                    // matched + unmatched + duplicate
	Matched    int64 `json:"matched"`                 // the first of its decision
	Unmatched  int64 `json:"unmatched"`               // of no decision that was read
	Duplicate  int64 `json:"duplicate"`               // of a decision that another is the first of
	TooOld     int64 `json:"outcome_too_old"`         // of those unmatched: of a decision before the last 8 on its application
	Before     int64 `json:"outcome_before_decision"` // of those unmatched: observed before every decision on its application
	KeyDiffers int64 `json:"outcome_key_differs"`     // of those read: the record's key is not the application_id, which is what joins
	Malformed  int64 `json:"malformed"`               // records that are no outcomes, not among those read; among those left out
}

// Count counts an outcome that was read. first: no other was of the same decision before.
func (c *Counts) Count(f Found, first bool) {
	c.Read++
	switch f {
	case Undecided:
		c.Unmatched++
	case Before:
		c.Unmatched++
		c.Before++
	case TooOld:
		c.Unmatched++
		c.TooOld++
	case Matched:
		if first {
			c.Matched++
		} else {
			c.Duplicate++
		}
	}
}
