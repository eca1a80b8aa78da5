package schemas

import (
	"fmt"
	"strconv"
)

// Source is where a record came from: what lost and duplicated are judged by.
type Source struct {
	Topic     string
	Partition int32
	Offset    int64
}

// String is the source as topic/partition/offset.
func (s Source) String() string {
	return s.Topic + "/" + strconv.Itoa(int(s.Partition)) + "/" + strconv.FormatInt(s.Offset, 10)
}

// ParseSource reads what the source headers say, each by its value; all three
// must be there.
func ParseSource(topic, partition, offset []byte) (Source, error) {
	p, perr := strconv.ParseInt(string(partition), 10, 32)
	o, oerr := strconv.ParseInt(string(offset), 10, 64)
	if len(topic) == 0 || perr != nil || oerr != nil || p < 0 || o < 0 {
		return Source{}, fmt.Errorf("source %q/%q/%q: expected topic, partition and offset", topic, partition, offset)
	}
	return Source{string(topic), int32(p), o}, nil
}
