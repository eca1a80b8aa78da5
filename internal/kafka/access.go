package kafka

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Access is what a component does with a topic.
type Access struct {
	Topic     string
	Operation kadm.ACLOperation
}

func (a Access) String() string {
	return strings.ToUpper(a.Operation.String()) + " on topic " + a.Topic
}

// Reads is reading topics.
func Reads(topics ...string) []Access { return accesses(kmsg.ACLOperationRead, topics) }

// Writes is writing to topics.
func Writes(topics ...string) []Access { return accesses(kmsg.ACLOperationWrite, topics) }

func accesses(operation kadm.ACLOperation, topics []string) (all []Access) {
	for _, t := range topics {
		all = append(all, Access{t, operation})
	}
	return all
}

// AccessError names what the cluster does not allow.
type AccessError struct {
	Missing []Access
}

func (e *AccessError) Error() string {
	var missing []string
	for _, a := range e.Missing {
		missing = append(missing, a.String())
	}
	return "not authorised: needs " + strings.Join(missing, ", ") + "; creditstream topics acls prints what to grant"
}

// Permanent is for retry.IsPermanent.
func (*AccessError) Permanent() bool { return true }

// Unwrap makes it an authorisation error like those of requests.
func (e *AccessError) Unwrap() error { return kerr.TopicAuthorizationFailed }

// RequireAccess returns a *MissingTopicsError when the cluster lacks a topic, and
// an *AccessError that names everything which this client may not do with those
// that are there. A cluster without ACLs allows everything; one that does not tell
// (before Kafka 2.3) is taken at its requests.
func RequireAccess(ctx context.Context, adm *kadm.Client, access ...[]Access) error {
	all := slices.Concat(access...)
	have, err := listKnown(kadm.WithAuthorizedOps(ctx), adm, spreadTime, topicsOf(all))
	if err != nil {
		return err
	}
	return notAllowed(have, all)
}

// topicsOf are the topics that are used, each once.
func topicsOf(all []Access) []string {
	names := make([]string, 0, len(all))
	for _, a := range all {
		if !slices.Contains(names, a.Topic) {
			names = append(names, a.Topic)
		}
	}
	return names
}

// notAllowed is an *AccessError, or nil.
func notAllowed(have kadm.TopicDetails, all []Access) error {
	var missing []Access
	for _, a := range all {
		t := have[a.Topic]
		allowed := t.AuthorizedOperations
		if errors.Is(t.Err, kerr.TopicAuthorizationFailed) || len(allowed) > 0 && !slices.Contains(allowed, a.Operation) {
			missing = append(missing, a)
		}
	}
	if len(missing) > 0 {
		return &AccessError{missing}
	}
	return nil
}

// listKnown looks topics up, also after the time that one just created takes to
// be known. Those that may not even be seen are there with their error.
func listKnown(ctx context.Context, adm *kadm.Client, within time.Duration, names []string) (kadm.TopicDetails, error) {
	patience := time.NewTimer(within)
	defer patience.Stop()
	for {
		have, missing, err := lookFor(ctx, adm, names)
		if err != nil || len(missing) == 0 {
			return have, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-patience.C:
			return nil, &MissingTopicsError{missing}
		case <-time.After(spreadInterval):
		}
	}
}
