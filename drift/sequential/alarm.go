package sequential

// Alarm is whether a shift has been told, and for how long it has looked over.
type Alarm struct {
	Firing bool
	Calm   int // looks in a row that saw nothing of it
}

// Change is what a look changed.
type Change int

// Changes of an Alarm.
const (
	Same Change = iota
	Fires
	Resolves
)

// Look takes what a look found: whether there is a shift, whether nothing of one
// is left, and whether it may be over already.
func (a *Alarm) Look(shifted, gone, may bool) Change {
	if !a.Firing {
		if !shifted {
			return Same
		}
		a.Firing, a.Calm = true, 0
		return Fires
	}
	if !gone {
		a.Calm = 0
		return Same
	}
	if a.Calm++; a.Calm < Calm || !may {
		return Same
	}
	a.Firing, a.Calm = false, 0
	return Resolves
}
