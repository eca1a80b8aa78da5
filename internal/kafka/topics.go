package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

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
// One that exists is left as it is. It returns when the cluster knows them.
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
			return created, fmt.Errorf("creating topic %s: %w", s.Name, withMessage(err, r.ErrMessage))
		}
	}
	// Creation is answered before the brokers know of it.
	return created, awaitTopics(ctx, adm, createdTime, created)
}

// withMessage adds what the broker said beyond its code.
func withMessage(err error, message string) error {
	if message == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, message)
}

// Difference is a setting of a topic that is not as it should be.
type Difference struct {
	Setting string `json:"setting"`
	Have    string `json:"have"`
	Want    string `json:"want"`
}

func (d Difference) String() string {
	return d.Setting + " is " + d.Have + ", expected " + d.Want
}

// TopicState is a topic as it is on the cluster.
type TopicState struct {
	Name        string
	Partitions  int32
	Replication int
	Configs     map[string]string
	First, End  int64 // sums over the partitions; their difference is what is kept
	Bytes       int64 // of all replicas, -1 when the cluster does not say
}

// Differences lists the settings that are not as the spec says, in order.
// Partitions and replicas count only where the spec names a number.
func (t TopicState) Differences(s TopicSpec) (found []Difference) {
	if s.Partitions > 0 && t.Partitions != s.Partitions {
		found = append(found, Difference{"partitions", strconv.Itoa(int(t.Partitions)), strconv.Itoa(int(s.Partitions))})
	}
	if s.Replication > 0 && t.Replication != int(s.Replication) {
		found = append(found, Difference{"replication", strconv.Itoa(t.Replication), strconv.Itoa(int(s.Replication))})
	}
	for _, k := range slices.Sorted(maps.Keys(s.Configs)) {
		if have := t.Configs[k]; have != s.Configs[k] {
			found = append(found, Difference{k, have, s.Configs[k]})
		}
	}
	return found
}

// DescribeTopics looks up those of the topics that exist.
func DescribeTopics(ctx context.Context, adm *kadm.Client, names ...string) (map[string]TopicState, error) {
	listed, err := adm.ListTopics(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("looking for topics: %w", err)
	}
	states := map[string]TopicState{}
	for _, t := range listed {
		switch {
		case errors.Is(t.Err, kerr.UnknownTopicOrPartition):
		case t.Err != nil:
			return nil, fmt.Errorf("looking for topic %s: %w", t.Topic, t.Err)
		default:
			states[t.Topic] = TopicState{
				Name: t.Topic, Partitions: int32(len(t.Partitions)), Replication: t.Partitions.NumReplicas(),
				Configs: map[string]string{}, Bytes: -1,
			}
		}
	}
	if len(states) == 0 {
		return states, nil
	}
	have := slices.Sorted(maps.Keys(states))
	configs, err := adm.DescribeTopicConfigs(ctx, have...)
	if err != nil {
		return nil, fmt.Errorf("reading the topics' settings: %w", err)
	}
	for _, c := range configs {
		if c.Err != nil {
			return nil, fmt.Errorf("reading the settings of topic %s: %w", c.Name, withMessage(c.Err, c.ErrMessage))
		}
		for _, one := range c.Configs {
			states[c.Name].Configs[one.Key] = one.MaybeValue()
		}
	}
	starts, err := adm.ListStartOffsets(ctx, have...)
	if err != nil {
		return nil, fmt.Errorf("looking up where the topics start: %w", err)
	}
	ends, err := adm.ListEndOffsets(ctx, have...)
	if err != nil {
		return nil, fmt.Errorf("looking up where the topics end: %w", err)
	}
	sizes := topicBytes(ctx, adm, listed)
	for name, t := range states {
		for _, o := range starts[name] {
			t.First += max(0, o.Offset)
		}
		for _, o := range ends[name] {
			t.End += max(0, o.Offset)
		}
		if bytes, ok := sizes[name]; ok {
			t.Bytes = bytes
		}
		states[name] = t
	}
	return states, nil
}

// topicBytes is what each topic takes on disk, as far as the cluster says: it
// needs a permission of its own.
func topicBytes(ctx context.Context, adm *kadm.Client, topics kadm.TopicDetails) map[string]int64 {
	sizes := map[string]int64{}
	all, err := adm.DescribeAllLogDirs(ctx, topics.TopicsSet())
	if err != nil {
		return sizes
	}
	all.Each(func(dir kadm.DescribedLogDir) {
		dir.Topics.Each(func(p kadm.DescribedLogDirPartition) { sizes[p.Topic] += p.Size })
	})
	return sizes
}

// UpdateTopic sets what differs: the configs, and partitions where there are
// fewer than the spec says. It returns what it did not do: partitions are never
// removed, replicas never moved.
func UpdateTopic(ctx context.Context, adm *kadm.Client, s TopicSpec, t TopicState) (left []Difference, err error) {
	var alter []kadm.AlterConfig
	for _, d := range t.Differences(s) {
		switch {
		case d.Setting == "partitions" && t.Partitions < s.Partitions:
			r, err := adm.UpdatePartitions(ctx, int(s.Partitions), s.Name)
			if err == nil {
				err = r.Error()
			}
			if err != nil {
				return nil, fmt.Errorf("adding partitions to topic %s: %w", s.Name, err)
			}
		case d.Setting == "partitions" || d.Setting == "replication":
			left = append(left, d)
		default:
			alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: d.Setting, Value: kadm.StringPtr(d.Want)})
		}
	}
	if len(alter) == 0 {
		return left, nil
	}
	responses, err := adm.AlterTopicConfigs(ctx, alter, s.Name)
	if err != nil {
		return nil, fmt.Errorf("changing the settings of topic %s: %w", s.Name, err)
	}
	for _, r := range responses {
		if r.Err != nil {
			return nil, fmt.Errorf("changing the settings of topic %s: %w", s.Name, withMessage(r.Err, r.ErrMessage))
		}
	}
	return left, nil
}

// MissingTopicsError names topics that a component needs and the cluster lacks.
type MissingTopicsError struct {
	Topics []string
}

func (e *MissingTopicsError) Error() string {
	return "the cluster has no topic " + strings.Join(e.Topics, ", ") + "; run: creditstream topics apply" + sameFlags
}

// sameFlags stand in a hint whose flags whoever makes the error does not know.
const sameFlags = " (with the same --brokers and --prefix)"

// Permanent is for retry.IsPermanent.
func (*MissingTopicsError) Permanent() bool { return true }

const (
	// How long a broker may not have heard of a topic that was created through
	// another, and how often it is asked.
	spreadTime     = 3 * time.Second
	spreadInterval = 50 * time.Millisecond
	// How long all brokers together may take to hear of a topic that was just
	// created: it is not missing, however busy they are.
	createdTime = 30 * time.Second
)

// RequireTopics returns a *MissingTopicsError when the cluster lacks one of the
// topics, also after the time that one just created takes to be known.
func RequireTopics(ctx context.Context, adm *kadm.Client, names ...string) error {
	return awaitTopics(ctx, adm, spreadTime, names)
}

func awaitTopics(ctx context.Context, adm *kadm.Client, within time.Duration, names []string) error {
	have, err := listKnown(ctx, adm, within, names)
	if err != nil {
		return err
	}
	for _, n := range names {
		if t := have[n]; t.Err != nil {
			return fmt.Errorf("looking for topic %s: %w", n, t.Err)
		}
	}
	return nil
}

// lookOneByOne is for topics some of which may not be seen: asked for together,
// the client does not tell which.
func lookOneByOne(ctx context.Context, adm *kadm.Client, names []string) (kadm.TopicDetails, error) {
	all := kadm.TopicDetails{}
	for _, n := range names {
		one, err := adm.ListTopics(ctx, n)
		switch {
		case errors.Is(err, kerr.TopicAuthorizationFailed):
			all[n] = kadm.TopicDetail{Topic: n, Err: kerr.TopicAuthorizationFailed}
		case err != nil:
			return nil, err
		default:
			all[n] = one[n]
		}
	}
	return all, nil
}

// lookFor looks topics up and names those that are not there.
func lookFor(ctx context.Context, adm *kadm.Client, names []string) (have kadm.TopicDetails, missing []string, err error) {
	have, err = untilCancelled(ctx, func() (kadm.TopicDetails, error) { return adm.ListTopics(ctx, names...) })
	if errors.Is(err, kerr.TopicAuthorizationFailed) {
		have, err = lookOneByOne(ctx, adm, names)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("looking for topics: %w", err)
	}
	for _, n := range names {
		t, ok := have[n]
		switch {
		case !ok || errors.Is(t.Err, kerr.UnknownTopicOrPartition):
			missing = append(missing, n)
		case t.Err != nil && !errors.Is(t.Err, kerr.TopicAuthorizationFailed):
			return nil, nil, fmt.Errorf("looking for topic %s: %w", n, t.Err)
		}
	}
	slices.Sort(missing)
	return have, missing, nil
}
