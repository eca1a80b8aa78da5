package stream

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/schemas"
)

// acls are the grants of one principal, as the embedded broker takes them.
func acls(t *testing.T, principal string) (list []kfake.ACL) {
	resources := map[string]kmsg.ACLResourceType{
		schemas.ResourceTopic: kmsg.ACLResourceTypeTopic, schemas.ResourceGroup: kmsg.ACLResourceTypeGroup,
		schemas.ResourceTransactional: kmsg.ACLResourceTypeTransactionalId, schemas.ResourceCluster: kmsg.ACLResourceTypeCluster,
	}
	operations := map[string]kmsg.ACLOperation{
		schemas.Read: kmsg.ACLOperationRead, schemas.Write: kmsg.ACLOperationWrite, schemas.Create: kmsg.ACLOperationCreate,
		schemas.Alter: kmsg.ACLOperationAlter, schemas.Describe: kmsg.ACLOperationDescribe,
		schemas.AlterConfigs: kmsg.ACLOperationAlterConfigs, schemas.DescribeConfigs: kmsg.ACLOperationDescribeConfigs,
	}
	for _, p := range schemas.Principals("t", "g") {
		if p.Name != principal {
			continue
		}
		for _, g := range p.Grants {
			pattern := kmsg.ACLResourcePatternTypeLiteral
			if g.Prefixed {
				pattern = kmsg.ACLResourcePatternTypePrefixed
			}
			for _, o := range g.Operations {
				require.Contains(t, operations, o)
				list = append(list, kfake.ACL{Resource: resources[g.Resource], Name: g.Name, Pattern: pattern, Operation: operations[o], Allow: true})
			}
		}
	}
	require.NotEmpty(t, list)
	return list
}

// The scorer starts and scores with what `topics acls` grants it; without any one
// of the grants that the loop itself needs, it says which is missing.
func TestTheScorerNeedsWhatItIsGranted(t *testing.T) {
	f := func(name string, keep func(kfake.ACL) bool, want string) {
		t.Run(name, func(t *testing.T) {
			topics := schemas.NewTopics("t")
			var granted []kfake.ACL
			for _, a := range append(acls(t, "scorer"), acls(t, "producer")[1:]...) {
				if keep(a) {
					granted = append(granted, a)
				}
			}
			// Clients that do not log in are this user.
			w := newBareWorld(t, kfake.EnableACLs(), kfake.User("SCRAM-SHA-256", "ANONYMOUS", "unused", granted...),
				kfake.SeedTopics(partitions, topics.Applications, topics.Predictions, topics.DLQ))
			w.apply(0, 40)
			w.reads = []string{topics.Predictions}
			if want != "" {
				require.ErrorContains(t, w.scorer("one").Run(t.Context()), want)
				return
			}
			stop := run(w.scorer("one"))
			bySource, _ := w.outputs(36)
			require.Len(t, bySource, 36)
			require.NoError(t, stop())
		})
	}
	without := func(resource kmsg.ACLResourceType, name string, operation kmsg.ACLOperation) func(kfake.ACL) bool {
		return func(a kfake.ACL) bool {
			return a.Resource != resource || a.Name != name || a.Operation != operation
		}
	}
	f("everything", func(kfake.ACL) bool { return true }, "")
	f("no settings", func(a kfake.ACL) bool { return a.Operation != kmsg.ACLOperationDescribeConfigs }, "")
	f("no group", without(kmsg.ACLResourceTypeGroup, "g", kmsg.ACLOperationRead), "READ on group g")
	f("no transactions", without(kmsg.ACLResourceTypeTransactionalId, "t-g-", kmsg.ACLOperationWrite), "WRITE and DESCRIBE on transactional id t-g-one-0")
	f("no dead letters", without(kmsg.ACLResourceTypeTopic, "t.applications.dlq", kmsg.ACLOperationWrite), "needs WRITE on topic t.applications.dlq;")
	f("no predictions", without(kmsg.ACLResourceTypeTopic, "t.predictions", kmsg.ACLOperationWrite), "needs WRITE on topic t.predictions;")
	f("no look back", without(kmsg.ACLResourceTypeTopic, "t.predictions", kmsg.ACLOperationRead), "needs READ on topic t.predictions;")
	f("no applications", without(kmsg.ACLResourceTypeTopic, "t.applications", kmsg.ACLOperationRead), "needs READ on topic t.applications;")
}
