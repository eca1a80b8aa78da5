//go:build kafka

package apptest

import "testing"

func TestMemory_IsBoundedWhateverIsOnTheTopicsOnKafka(t *testing.T) {
	readsInLittleMemory(t, given(t))
}
