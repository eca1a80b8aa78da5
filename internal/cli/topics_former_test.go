package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/schemas"
)

// An operator with what topics acls prints moves the groups of an earlier release if it
// was printed with --former-groups; what is printed without names the new groups only.
func TestTopicsACLs_FormerGroupsAreWhatAnUpgradeNeeds(t *testing.T) {
	t.Parallel()
	for _, former := range []bool{false, true} {
		principals := schemas.Principals("t", "")
		if former {
			principals = schemas.WithFormerGroups("t", principals)
		}
		topics := schemas.NewTopics("t")
		broker, err := local.StartKafka("", kfake.EnableACLs(), kfake.User("SCRAM-SHA-256", "ANONYMOUS", "unused", kfakeACLs(t, principals, "operator")...),
			kfake.SeedTopics(2, topics.Applications, topics.Predictions, topics.Outcomes))
		require.NoError(t, err)
		t.Cleanup(broker.Close)
		client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()))
		require.NoError(t, err)
		t.Cleanup(client.Close)
		adm := kadm.NewClient(client)
		if former { // it may commit there, as it moves what is
			offsets := kadm.Offsets{}
			offsets.Add(kadm.Offset{Topic: topics.Applications, Partition: 1, At: 7, LeaderEpoch: -1})
			require.NoError(t, adm.CommitAllOffsets(t.Context(), "scorer", offsets))
		}
		code, out, errs := creditstream(t, "topics", "adopt-groups", "--brokers", broker.Addr(), "--prefix", "t")
		if !former {
			require.Equal(t, 1, code, out)
			continue
		}
		require.Zero(t, code, errs)
		require.Contains(t, out, "moved 1 offsets from group scorer to t.scorer")
	}

	_, out, _ := creditstream(t, "topics", "acls", "--prefix", "p", "--former-groups", "--principal", "scorer")
	require.Contains(t, out, "--operation Read --group 'scorer'\n")
	require.Contains(t, out, "--operation Read --group 'p.scorer'\n")
	require.Contains(t, out, "--operation Write --transactional-id 'p-scorer-' --resource-pattern-type prefixed\n")
	_, out, _ = creditstream(t, "topics", "acls", "--prefix", "p", "--former-groups", "--principal", "operator")
	require.Contains(t, out, "--operation Read --operation Delete --group 'view'\n")
	_, out, _ = creditstream(t, "topics", "acls", "--prefix", "p")
	require.NotContains(t, out, "'scorer'")
}

// Topics that are not there are named together, and nothing is moved.
func TestAdoptGroups_NamesTheTopicsThatAreMissing(t *testing.T) {
	t.Parallel()
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	code, out, errs := creditstream(t, "topics", "adopt-groups", "--brokers", broker.Addr(), "--prefix", "nope")
	require.Equal(t, 1, code)
	require.Empty(t, out)
	require.Equal(t, 1, strings.Count(errs, "nope.applications, nope.outcomes, nope.predictions;"), errs)
	require.Contains(t, errs, "run: creditstream topics apply --brokers "+broker.Addr()+" --prefix nope\n")
	require.NotContains(t, errs, "UNKNOWN_TOPIC_OR_PARTITION")
}

// kfakeACLs are a principal's grants as the embedded broker takes them.
func kfakeACLs(t *testing.T, principals []schemas.Principal, name string) (list []kfake.ACL) {
	for _, p := range principals {
		if p.Name != name {
			continue
		}
		for _, g := range p.Grants {
			resource, err := kmsg.ParseACLResourceType(g.Resource)
			require.NoError(t, err)
			pattern := kmsg.ACLResourcePatternTypeLiteral
			if g.Prefixed {
				pattern = kmsg.ACLResourcePatternTypePrefixed
			}
			for _, o := range g.Operations {
				operation, err := kmsg.ParseACLOperation(o)
				require.NoError(t, err)
				list = append(list, kfake.ACL{Resource: resource, Name: g.Name, Pattern: pattern, Operation: operation, Allow: true})
			}
		}
	}
	require.NotEmpty(t, list)
	return list
}
