package kafka

import (
	"fmt"
	"strings"
)

// maxNamed is how many batches an Unread names.
const maxNamed = 10

// Unread counts what was passed over because it cannot be read, each batch once however
// often it is met. Its zero value is ready; PassOver is a Sink's Unreadable.
type Unread struct {
	Offsets int64    `json:"offsets"`
	At      []string `json:"at,omitempty"` // topic/partition@offset of the first batches

	met map[string]bool
}

// PassOver counts a batch.
func (u *Unread) PassOver(e *UnreadableError) error {
	at := fmt.Sprintf("%s/%d@%d", e.Topic, e.Partition, e.From)
	if u.met[at] {
		return nil
	}
	if u.met == nil {
		u.met = map[string]bool{}
	}
	u.met[at] = true
	u.Offsets += e.Offsets()
	if len(u.At) < maxNamed {
		u.At = append(u.At, at)
	}
	return nil
}

// String says what was left out and where, for people; empty: nothing was.
func (u *Unread) String() string {
	if u.Offsets == 0 {
		return ""
	}
	where := strings.Join(u.At, ", ")
	if more := len(u.met) - len(u.At); more > 0 {
		where += fmt.Sprintf(" and %d batches more", more)
	}
	return fmt.Sprintf("%d offsets that cannot be read are left out, in the batches at %s", u.Offsets, where)
}
