package deadletters

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/creditstream/creditstream/schemas"
)

// Position is where a dead letter stands in its topic.
type Position struct {
	Partition int32
	Offset    int64
}

// String is the position as partition/offset, as markers name it.
func (p Position) String() string {
	return strconv.Itoa(int(p.Partition)) + "/" + strconv.FormatInt(p.Offset, 10)
}

// ParsePosition reads what String writes.
func ParsePosition(text string) (Position, error) {
	partition, offset, ok := strings.Cut(text, "/")
	p, perr := strconv.ParseInt(partition, 10, 32)
	o, oerr := strconv.ParseInt(offset, 10, 64)
	if !ok || perr != nil || oerr != nil || p < 0 || o < 0 {
		return Position{}, fmt.Errorf("%q: expected PARTITION/OFFSET, as 3/918", text)
	}
	return Position{int32(p), o}, nil
}

// in is the position with its topic.
func (p Position) in(topic string) schemas.Source {
	return schemas.Source{Topic: topic, Partition: p.Partition, Offset: p.Offset}
}
