package flags

import (
	"github.com/creditstream/creditstream/internal/app"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/schemas"
)

// Score says which applications the scorer takes.
type Score struct {
	Group string   `help:"Consumer group of the scorer (default PREFIX.scorer, or scorer as long as only that has commits)." placeholder:"NAME"`
	Skip  []string `help:"Skip a batch that cannot be read and has stopped its partition: its offsets are not answered, and verify counts them. TOPIC/PARTITION@OFFSET as the log names it, such as credit.applications/3@264; @FIRST-LAST where the batch does not say where it ends." placeholder:"TOPIC/PARTITION@OFFSET"`
	From  string   `help:"Where a group without commits begins: start, end or an RFC 3339 time. Needed only when predictions already holds decisions from the stream." placeholder:"start|end|TIME"`
}

// skips are the batches to be passed over, of a topic that the scorer reads.
func (f *Score) skips(prefix string) (all []member.Skip, err error) {
	applications := schemas.NewTopics(prefix).Applications
	for _, text := range f.Skip {
		s, err := member.ParseSkip(text)
		if err != nil {
			return nil, Usage(err)
		}
		if s.Topic != applications && prefix+"."+s.Topic != applications {
			return nil, Usagef("--skip %q: the scorer reads %s", text, applications)
		}
		all = append(all, s)
	}
	return all, nil
}

// Config is what the scorer of a deployment takes, as this member of its group.
func (f *Score) Config(prefix string, m *Member) (c app.Scorer, err error) {
	if c.From, err = kafka.ParseFrom(f.From); err != nil {
		return c, Usage(err)
	}
	if c.Skips, err = f.skips(prefix); err != nil {
		return c, err
	}
	c.Group = f.Group
	c.Member, err = m.Config()
	return c, err
}
