//go:build chaos

package apptest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// cluster is the brokers that deploy/dev/kafka.sh has started.
type cluster struct {
	tool   string // kafka.sh; which cluster, it finds in the environment
	client *kgo.Client
}

// do kills or resumes a node.
func (c *cluster) do(what string, node int) error {
	if out, err := exec.Command(c.tool, what, strconv.Itoa(node)).CombinedOutput(); err != nil {
		return fmt.Errorf("kafka.sh %s %d: %w: %s", what, node, err, out)
	}
	return nil
}

// outage kills a node, starts it again after a while and waits until it has
// everything that the others have.
func (c *cluster) outage(ctx context.Context, node int, lasting time.Duration) error {
	if err := c.do("kill", node); err != nil {
		return err
	}
	time.Sleep(lasting)
	if err := c.do("resume", node); err != nil {
		return err
	}
	return c.whole(ctx)
}

// whole waits until every partition has all its replicas in sync.
func (c *cluster) whole(ctx context.Context) error {
	var why error
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(250 * time.Millisecond) {
		asked, cancel := context.WithTimeout(ctx, 5*time.Second)
		topics, err := kadm.NewClient(c.client).ListTopicsWithInternal(asked)
		cancel()
		if why = err; err != nil {
			continue
		}
		topics.EachPartition(func(p kadm.PartitionDetail) {
			if len(p.ISR) < len(p.Replicas) || p.Leader < 0 {
				why = fmt.Errorf("%s/%d has replicas %v in sync of %v", p.Topic, p.Partition, p.ISR, p.Replicas)
			}
		})
		if why == nil {
			return nil
		}
	}
	return errors.Join(errors.New("the brokers do not come together again"), why, ctx.Err())
}

// controller is the node that leads the others.
func (c *cluster) controller(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic = "__cluster_metadata"
	topic.Partitions = append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, c.client)
	if err != nil {
		return 0, fmt.Errorf("asking which node is the controller: %w", err)
	}
	if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return 0, errors.New("asking which node is the controller: an answer without the partition")
	}
	p := response.Topics[0].Partitions[0]
	if err := errors.Join(kerr.ErrorForCode(response.ErrorCode), kerr.ErrorForCode(p.ErrorCode)); err != nil {
		return 0, fmt.Errorf("asking which node is the controller: %w", err)
	}
	return int(p.LeaderID), nil
}
