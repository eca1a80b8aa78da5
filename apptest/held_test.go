package apptest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// held is a stretch of time in which readers of committed records did not get on
// in a partition though something was behind what they had read.
type held struct {
	topic      string
	partition  int32
	from, to   time.Time
	lastStable int64
}

func (h held) lasted() time.Duration { return h.to.Sub(h.from) }

// common is how long both lasted at once; below 0 where they did not.
func (h held) common(o held) time.Duration {
	from, to := h.from, h.to
	if o.from.After(from) {
		from = o.from
	}
	if o.to.Before(to) {
		to = o.to
	}
	return to.Sub(from)
}

func (h held) String() string {
	return fmt.Sprintf("%s/%d at %d for %s", h.topic, h.partition, h.lastStable, h.lasted().Round(100*time.Millisecond))
}

// barrier looks again and again where the last stable offsets of topics are.
type barrier struct {
	adm    *kadm.Client
	topics []string

	mu      sync.Mutex
	holding map[string]held // guarded by mu, by topic/partition
	over    []held          // guarded by mu: those that lasted longer than worth
}

// worth is what a hold must last to be kept.
const worth = time.Second

func newBarrier(client *kgo.Client, topics ...string) *barrier {
	return &barrier{adm: kadm.NewClient(client), topics: topics, holding: map[string]held{}}
}

// watch looks until ctx ends.
func (b *barrier) watch(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		b.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look takes the last stable offsets and then the ends. A partition whose leader
// is away is as it was: its readers do not get on either.
func (b *barrier) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	stable, _ := b.adm.ListCommittedOffsets(ctx, b.topics...) // each partition has its own error
	ends, _ := b.adm.ListEndOffsets(ctx, b.topics...)
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	stable.Each(func(o kadm.ListedOffset) {
		end, ok := ends.Lookup(o.Topic, o.Partition)
		if o.Err != nil || !ok || end.Err != nil {
			return
		}
		key := fmt.Sprint(o.Topic, "/", o.Partition)
		h, was := b.holding[key]
		if was && h.lastStable == o.Offset && end.Offset > o.Offset {
			h.to = now
			b.holding[key] = h
			return
		}
		if was && h.lasted() > worth {
			h.to = now
			b.over = append(b.over, h)
		}
		delete(b.holding, key)
		if end.Offset > o.Offset {
			b.holding[key] = held{o.Topic, o.Partition, now, now, o.Offset}
		}
	})
}

// seen are the holds that were worth keeping, those that still last among them.
func (b *barrier) seen() []held {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := append([]held(nil), b.over...)
	for _, h := range b.holding {
		if h.lasted() > worth {
			all = append(all, h)
		}
	}
	return all
}

// stuck is where readers are held back at look after look: what was on its way
// has come by then.
func (b *barrier) stuck(ctx context.Context) (at []held) {
	for i := range 4 {
		if i > 0 {
			time.Sleep(100 * time.Millisecond)
		}
		b.look(ctx)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.holding {
		if h.lasted() > 200*time.Millisecond {
			at = append(at, h)
		}
	}
	return at
}

// passed says whether readers have passed all these places.
func (b *barrier) passed(ctx context.Context, all []held) bool {
	b.look(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range all {
		if now, ok := b.holding[fmt.Sprint(h.topic, "/", h.partition)]; ok && now.lastStable == h.lastStable {
			return false
		}
	}
	return true
}
