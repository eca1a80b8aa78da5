package kafka

import "fmt"

// A client stops fetching a partition at a batch that it cannot unpack, and says so with
// what it fetched before it. Setting an offset of any other partition throws that away
// unread: then nothing comes of the partition, though a look finds records there.

// firstAgain is how many looks in a row find records that do not come before a client is
// made to fetch them again.
const firstAgain = 4

// FetchAgain says after how many looks in a row that found records which had not come a
// client is to fetch them again: ever more seldom, for what is thrown away with it may only
// be slow to come.
func FetchAgain(looks int) bool { return looks >= firstAgain && looks&(looks-1) == 0 }

// silent counts such looks by partition. The zero value is ready to use.
type silent struct{ looks map[string]silentAt }

type silentAt struct {
	offset int64
	looks  int
}

// again notes a look at an offset, and says whether it is to be fetched again.
func (s *silent) again(topic string, partition int32, offset int64) bool {
	of := fmt.Sprintf("%s/%d", topic, partition)
	at := s.looks[of]
	if at.offset != offset {
		at = silentAt{offset: offset}
	}
	at.looks++
	if s.looks == nil {
		s.looks = map[string]silentAt{}
	}
	s.looks[of] = at
	return FetchAgain(at.looks)
}
