//go:build kafka

package apptest

import "testing"

func TestAnOpenTransactionOnKafka(t *testing.T) {
	t.Parallel()
	seenFromEverywhere(newStage(t, given(t)))
}
