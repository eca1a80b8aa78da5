package cli

import (
	"time"

	"github.com/creditstream/creditstream/consumer/view"
	"github.com/creditstream/creditstream/drift/aggregate"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/schemas"
)

// driftFlags say how decisions are counted and judged.
type driftFlags struct {
	evaluatorFlags
	webhookFlags
	Bucket    time.Duration `help:"Length of the stretches of time that decisions are counted by, whole seconds." default:"5s" placeholder:"DURATION"`
	LateAfter time.Duration `help:"How long after it was observed an outcome may come and not be counted as late." default:"168h" placeholder:"DURATION"`
}

// addDrift adds the aggregator and the evaluator.
func (f *driftFlags) addDrift(s *services, r redisFlags, m modelFlags, as memberFlags, group, text string) error {
	from, err := member.ParseFrom(text)
	if err != nil {
		return usage(err)
	}
	if err := as.checkMember(); err != nil {
		return err
	}
	if f.Bucket < time.Second || f.Bucket%time.Second != 0 {
		return usagef("--bucket %s: expected whole seconds, at least 1s", f.Bucket)
	}
	if f.LateAfter <= 0 {
		return usagef("--late-after %s: expected more than 0", f.LateAfter)
	}
	if err := f.checkWebhook(); err != nil {
		return err
	}
	models, err := s.follower(m)
	if err != nil {
		return err
	}
	client := r.client()
	s.free(func() { _ = client.Close() }) // nothing is left to be written
	cluster := kafka.NewCluster(s.kafka.config(s.p, "drift-cluster"))
	claim, take := s.claim(driftName)
	counts, err := aggregate.New(aggregate.Config{
		Kafka: s.kafka.config(s.p, "drift-"+s.instance), Topics: schemas.NewTopics(s.kafka.Prefix), Codec: s.codec, Log: s.p.log,
		Group: groupNames(s.kafka.Prefix, schemas.GroupDrift, group), Instance: s.instance, Sessions: as.Sessions, Protocol: as.GroupProtocol, Static: as.Static, From: from, Claim: take,
		Bucket: f.Bucket, LateAfter: f.LateAfter, Live: models.Live, Decisions: decided{view.NewStore(client, s.kafka.Prefix).Of(cluster.ID)}, Registerer: s.reg,
	})
	if err != nil {
		return err
	}
	judges, err := f.evaluator(s.p, evaluatorParts{
		kafka: s.kafka.config(s.p, "drift-evaluator-"+s.instance), prefix: s.kafka.Prefix, live: models.Live, webhook: &f.webhookFlags, reg: s.reg,
	})
	if err != nil {
		return err
	}
	report := driftReport()
	report.Claim = claim
	s.add(report, false, append(judges, cluster, counts)...)
	s.p.log.Info("counting and judging decisions and outcomes", "instance", s.instance, "bucket", f.Bucket)
	return nil
}
