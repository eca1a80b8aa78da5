package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// TopicSpec is a topic as it should be created.
type TopicSpec struct {
	Name        string
	Partitions  int32
	Replication int16 // -1: the broker's default
	Configs     map[string]string
}

// CreateTopics creates the topics that do not exist and reports which it did.
// One that exists is left as it is.
func CreateTopics(ctx context.Context, adm *kadm.Client, specs []TopicSpec) (created []string, err error) {
	for _, s := range specs {
		configs := make(map[string]*string, len(s.Configs))
		for k, v := range s.Configs {
			configs[k] = kadm.StringPtr(v)
		}
		r, err := adm.CreateTopic(ctx, s.Partitions, s.Replication, configs, s.Name)
		switch {
		case err == nil:
			created = append(created, s.Name)
		case errors.Is(err, kerr.TopicAlreadyExists):
		default:
			if r.ErrMessage != "" {
				return created, fmt.Errorf("creating topic %s: %w: %s", s.Name, err, r.ErrMessage)
			}
			return created, fmt.Errorf("creating topic %s: %w", s.Name, err)
		}
	}
	return created, nil
}

// MissingTopicsError names topics that a component needs and the cluster lacks.
type MissingTopicsError struct {
	Topics []string
}

func (e *MissingTopicsError) Error() string {
	return "the cluster has no topic " + strings.Join(e.Topics, ", ") + "; run: creditstream topics apply (with the same --brokers and --prefix)"
}

// RequireTopics returns a *MissingTopicsError when the cluster lacks one of the
// topics.
func RequireTopics(ctx context.Context, adm *kadm.Client, names ...string) error {
	have, err := adm.ListTopics(ctx, names...)
	if err != nil {
		return fmt.Errorf("looking for topics: %w", err)
	}
	var missing []string
	for _, n := range names {
		t, ok := have[n]
		switch {
		case !ok || errors.Is(t.Err, kerr.UnknownTopicOrPartition):
			missing = append(missing, n)
		case t.Err != nil:
			return fmt.Errorf("looking for topic %s: %w", n, t.Err)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return &MissingTopicsError{missing}
	}
	return nil
}
