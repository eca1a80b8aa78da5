package deadletters

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/creditstream/creditstream/internal/kafka"
)

// overtakenError says that another replay took the transactional id.
type overtakenError struct {
	id   string
	took time.Duration // that the transaction was open
	err  error
}

func (e *overtakenError) Error() string {
	if e.took > transactionTimeout {
		return fmt.Sprintf("a transaction was open for %s, longer than its timeout of %s, and the broker has ended it: %v", e.took.Round(time.Millisecond), transactionTimeout, e.err)
	}
	return fmt.Sprintf("another dlq replay has begun and taken transactional id %s over: %v", e.id, e.err)
}

func (e *overtakenError) Unwrap() error { return e.err }

// OpenError refuses a replay: the dead letters cannot be read to their end, where a marker
// may say that a letter was replayed.
type OpenError struct {
	Open []kafka.Open // at least one
}

func (e *OpenError) Error() string {
	return fmt.Sprintf("%s: a marker that says which letters were replayed may be among them; replay when the transaction has ended", e.Open[0])
}

var errTaken = errors.New("the producer's id has changed")

func isFenced(err error) bool {
	return errors.Is(err, errTaken) || errors.Is(err, kerr.ProducerFenced) ||
		errors.Is(err, kerr.InvalidProducerEpoch) || errors.Is(err, kerr.TransactionCoordinatorFenced)
}

// isRecords says whether a produce failed because of a record itself: trying it
// again changes nothing.
func isRecords(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) || errors.Is(err, kerr.InvalidRecord)
}

// explain names what is missing where the cluster refuses this client.
func explain(c Config, err error) error {
	acls := "creditstream topics acls"
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return fmt.Errorf("not authorised: dlq list needs READ on topic %s, dlq replay READ and WRITE on it and on %s (%s): %w", c.Topics.DLQ, c.Topics.Applications, acls, err)
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		return fmt.Errorf("not authorised: dlq replay needs WRITE on transactional id %s (%s): %w", transactionalID(c), acls, err)
	}
	return c.Kafka.Explain(err)
}
