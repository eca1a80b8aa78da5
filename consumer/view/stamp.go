package view

import (
	"bytes"
	"strconv"
	"strings"
)

// Stamp says which record a value in the view was made from. It decides what is
// newer: within a partition the higher offset; across partitions (their number
// was changed) the later decision; and a record of another log never counts.
type Stamp struct {
	Partition  int32
	Offset     int64
	Log        uint32 // which log the offset belongs to: a topic that was made again is another
	DecidedUS  int64  // decided_at, microseconds
	Generation int64  // the rebuild that wrote it; 0: the view as it followed the log
}

// stampOpen begins the member that carries a prediction's stamp. The write
// script looks for the same text.
const stampOpen = `,"view":{`

// appendStamped appends a prediction's JSON object with the stamp as its last
// member, which readers ignore like any key they do not know.
func appendStamped(dst, object []byte, s Stamp) []byte {
	object = bytes.TrimRight(object, " \t\r\n")
	dst = append(dst, object[:len(object)-1]...)
	dst = append(dst, stampOpen...)
	dst = append(dst, `"partition":`...)
	dst = strconv.AppendInt(dst, int64(s.Partition), 10)
	dst = append(dst, `,"offset":`...)
	dst = strconv.AppendInt(dst, s.Offset, 10)
	dst = append(dst, `,"log":`...)
	dst = strconv.AppendUint(dst, uint64(s.Log), 10)
	dst = append(dst, `,"decided_us":`...)
	dst = strconv.AppendInt(dst, s.DecidedUS, 10)
	dst = append(dst, `,"generation":`...)
	dst = strconv.AppendInt(dst, s.Generation, 10)
	return append(dst, "}}"...)
}

// cutStamp takes a stored prediction apart: what stood on the wire, and its stamp.
func cutStamp(stored []byte) (object []byte, s Stamp, ok bool) {
	i := bytes.LastIndex(stored, []byte(stampOpen))
	if i < 0 || !bytes.HasSuffix(stored, []byte("}}")) {
		return nil, s, false
	}
	members := strings.Split(string(stored[i+len(stampOpen):len(stored)-2]), ",")
	for k, m := range members {
		_, value, _ := strings.Cut(m, ":")
		members[k] = value
	}
	s, ok = stampOf(members)
	return append(bytes.Clone(stored[:i]), '}'), s, ok
}

// String is the stamp's numbers: partition/offset/log/decided in microseconds/generation.
func (s Stamp) String() string { return string(s.append(make([]byte, 0, 64))) }

func (s Stamp) append(b []byte) []byte {
	b = strconv.AppendInt(b, int64(s.Partition), 10)
	for _, v := range [...]int64{s.Offset, int64(s.Log), s.DecidedUS, s.Generation} {
		b = strconv.AppendInt(append(b, '/'), v, 10)
	}
	return b
}

func parseStamp(text string) (s Stamp, ok bool) { return stampOf(strings.Split(text, "/")) }

func stampOf(numbers []string) (s Stamp, ok bool) {
	if len(numbers) != 5 {
		return s, false
	}
	p, e0 := strconv.ParseInt(numbers[0], 10, 32)
	o, e1 := strconv.ParseInt(numbers[1], 10, 64)
	l, e2 := strconv.ParseUint(numbers[2], 10, 32)
	d, e3 := strconv.ParseInt(numbers[3], 10, 64)
	g, e4 := strconv.ParseInt(numbers[4], 10, 64)
	s = Stamp{int32(p), o, uint32(l), d, g}
	return s, e0 == nil && e1 == nil && e2 == nil && e3 == nil && e4 == nil
}
