package member

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/retry"
)

// An error asks for one of four things. The first that applies is done:
//
//	exit      starting again would not help: Needs.Fatal says why
//	halve     a record's own fault: IsRecords; what then is the owner's to say
//	go on     the client gets over it by itself: passes
//	renew     anything else: a new client, after a pause

// permanentError is an error that ends the process.
type permanentError struct {
	message string
	err     error // nil where there is no cause but what the message says
}

func (e *permanentError) Error() string {
	if e.err == nil {
		return e.message
	}
	return e.message + ": " + e.err.Error()
}

func (e *permanentError) Unwrap() error { return e.err }

// Permanent is for retry.IsPermanent.
func (*permanentError) Permanent() bool { return true }

// Permanent is an error that ends the process, for a cause or, where err is nil,
// for what the message says.
func Permanent(err error, format string, args ...any) error {
	return &permanentError{fmt.Sprintf(format, args...), err}
}

// lateError is a fence that another process need not have caused: the broker
// aborts a transaction that is open for longer than its timeout, and fences its
// producer.
type lateError struct {
	took time.Duration
	err  error
}

func (e *lateError) Error() string {
	return fmt.Sprintf("the transaction was open for %s, longer than its timeout of %s: the broker has aborted it: %v", e.took.Round(time.Millisecond), TransactionTimeout, e.err)
}

func (e *lateError) Unwrap() error { return e.err }

// slowError is a transaction that was aborted because Kafka took too long.
type slowError struct {
	within   time.Duration
	throttle time.Duration // that quotas have imposed; 0: none
	err      error
}

func (e *slowError) Error() string {
	text := fmt.Sprintf("Kafka took longer than %s to take what a transaction wrote", e.within)
	if e.throttle > 0 {
		text += fmt.Sprintf("; it throttles this client, by %s: a quota of its user or client id", e.throttle.Round(time.Millisecond))
	}
	return text
}

func (e *slowError) Unwrap() error { return e.err }

// IsSlow says whether a transaction was aborted because Kafka took too long: fewer
// records may get through.
func IsSlow(err error) bool {
	_, slow := errors.AsType[*slowError](err)
	return slow
}

// both is a failed produce and what became of the abort, on one line; either may
// be nil.
func both(cause, end error) error {
	if cause == nil || end == nil {
		return cmp.Or(cause, end)
	}
	return fmt.Errorf("%w; ending the transaction: %w", cause, end)
}

// joinedError is several errors, as the client joins those of partitions, told on
// one line: who reads a log or a process's last words reads lines.
type joinedError struct{ err error }

func (e *joinedError) Error() string { return strings.ReplaceAll(e.err.Error(), "\n", "; ") }

func (e *joinedError) Unwrap() error { return e.err }

func onOneLine(err error) error {
	if err == nil || !strings.Contains(err.Error(), "\n") {
		return err
	}
	return &joinedError{err}
}

// isOneOf says whether an error is one of Kafka's codes.
func isOneOf(err error, codes ...*kerr.Error) bool {
	for _, c := range codes {
		if errors.Is(err, c) {
			return true
		}
	}
	return false
}

// isFenced says whether another producer holds the transactional id now, or
// another static member the instance id. Which of the three a broker answers
// depends on its version and on the request.
func isFenced(err error) bool {
	return isOneOf(err, kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.TransactionCoordinatorFenced,
		kerr.FencedInstanceID)
}

// isUnknownTopic says whether a topic may be gone. The same codes also come
// while a topic's creation or a new leader spreads among the brokers, so the
// cluster is asked before anything is concluded.
func isUnknownTopic(err error) bool {
	return isOneOf(err, kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.InconsistentTopicID)
}

// IsRecords says whether a produce may have failed because of a record itself.
// Codes that no broker is known to send for a record count too: a batch that
// fails for good must not be tried forever.
func IsRecords(err error) bool {
	code, ok := errors.AsType[*kerr.Error](err)
	if !ok || code.Retriable || isFenced(err) || isUnknownTopic(err) {
		return false
	}
	// The state of producer and transaction: a new client begins with a new one.
	return !isOneOf(err, kerr.OutOfOrderSequenceNumber, kerr.DuplicateSequenceNumber, kerr.UnknownProducerID,
		kerr.InvalidProducerIDMapping, kerr.InvalidTxnState, kerr.TransactionAbortable, kerr.OperationNotAttempted)
}

// passes says whether the client gets over an error of a poll by itself: it
// joins the group again after whatever ended its session.
func passes(err error) bool {
	_, session := errors.AsType[*kgo.ErrGroupSession](err)
	return session || kerr.IsRetriable(err)
}

// Needs is what a component needs of a cluster, as its errors name it.
type Needs struct {
	Who             string // the component
	Kafka           kafka.Config
	Group, Instance string
	Reads, Writes   []string // topics
}

// TransactionalID is that of one of the component's sessions.
func (n Needs) TransactionalID(session string) string {
	return n.Kafka.Prefix + "-" + n.Group + "-" + n.Instance + "-" + session
}

// Fatal says why an error ends the process, nil when a new client may help.
func (n Needs) Fatal(err error) error {
	if retry.IsPermanent(err) {
		return err
	}
	if _, ok := errors.AsType[*lateError](err); ok {
		return nil
	}
	switch {
	case isFenced(err):
		return Permanent(err, "another process runs as instance %q of group %q; give each process its own --instance", n.Instance, n.Group)
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return Permanent(err, "not authorised: needs READ on topic %s and WRITE on %s (creditstream topics acls)", strings.Join(n.Reads, " and "), strings.Join(n.Writes, " and "))
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return Permanent(err, "not authorised: needs READ on group %s (creditstream topics acls)", n.Group)
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		return Permanent(err, "not authorised: needs WRITE and DESCRIBE on transactional id %s (creditstream topics acls)", n.TransactionalID("0"))
	case isOneOf(err, kerr.ClusterAuthorizationFailed, kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState, kerr.SecurityDisabled):
		return Permanent(n.Kafka.Explain(err), "the cluster refuses this client")
	case errors.Is(err, kerr.InvalidTransactionTimeout):
		return Permanent(err, "the broker's transaction.max.timeout.ms is below %d", TransactionTimeout.Milliseconds())
	case errors.Is(err, kerr.InvalidSessionTimeout):
		return Permanent(err, "the broker's group.min.session.timeout.ms … group.max.session.timeout.ms does not include %d", SessionTimeout.Milliseconds())
	case isOneOf(err, kerr.InconsistentGroupProtocol, kerr.UnsupportedAssignor):
		return Permanent(err, "group %q is in use with another protocol; stop its other members, or set the same --group-protocol", n.Group)
	case errors.Is(err, kerr.GroupMaxSizeReached):
		return Permanent(err, "group %q is full (group.max.size); use fewer --sessions or replicas", n.Group)
	case isOneOf(err, kerr.InvalidGroupID, kerr.InvalidTopicException, kerr.UnsupportedVersion, kerr.UnsupportedForMessageFormat,
		kerr.InvalidRequiredAcks, kerr.OffsetMetadataTooLarge, kerr.InvalidCommitOffsetSize, kerr.InvalidConfig, kerr.UnsupportedCompressionType):
		return Permanent(err, "the cluster refuses what the %s needs", n.Who)
	}
	return nil
}

// resolveTimeout is what asking the cluster about an error may take.
const resolveTimeout = 5 * time.Second

// Resolve is Fatal for an error that may mean a topic is gone: the cluster is
// asked whether it is. It is also asked what exactly is not allowed.
func (n Needs) Resolve(ctx context.Context, err error) error {
	why := n.Fatal(err)
	denied := errors.Is(err, kerr.TopicAuthorizationFailed)
	if !denied && (why != nil || !isUnknownTopic(err)) {
		return why
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resolveTimeout)
	defer cancel()
	if missing := n.require(ctx); missing != nil {
		if better := n.Fatal(missing); better != nil { // nil when the cluster did not answer
			return better
		}
	}
	return why
}

// require asks the cluster, with a client of its own, whether the topics are
// there and may still be used.
func (n Needs) require(ctx context.Context) error {
	client, err := n.Kafka.Connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	return kafka.RequireAccess(ctx, kadm.NewClient(client), kafka.Reads(n.Reads...), kafka.Writes(n.Writes...))
}
