package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/creditstream/creditstream/schemas"
)

const (
	// How long an answer that is no schema is doubted, if nothing else is said, before it
	// is taken for one about the id.
	refusalPatience = 10 * time.Second
	// How long where another id was refused within refusedTime: many such ids must not
	// hold up everything one after the other.
	shortPatience = time.Second
	refusedTime   = time.Minute
	// How much longer an answer is doubted that asks to come back later.
	laterFactor = 6
)

// refusalError is an answer of the registry that is neither a schema nor that there
// is none.
type refusalError interface {
	error
	// Refusal is what it says. login says that it may be about who asks.
	Refusal() (words string, login bool)
	// Later says that it asks to come back later: it may be about the moment.
	Later() bool
}

// errRefused is why a value cannot be read whose schema the registry does not give.
var errRefused = errors.New("the schema registry does not give it")

// doubt is how long refusals of an id are doubted, and those that ask to come back later.
func (c *Codec) doubt(k key) (patience, later time.Duration) {
	if old, ok := c.cache.last(k); ok && errors.Is(old.err, errRefused) {
		return 0, 0 // as before
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	patience = cmp.Or(c.config.Doubt, refusalPatience)
	if !c.refused.IsZero() && time.Since(c.refused) < refusedTime {
		patience = min(patience, shortPatience)
	}
	later = laterFactor * patience
	if half := c.config.Patience / 2; half > 0 {
		patience, later = min(patience, half), min(later, half)
	}
	return patience, later
}

// refuse takes a refusal for an answer about the id if the registry answers
// something else well and then says of this id what it said before. Otherwise it
// may be one about everything, such as of a wrong password, and nothing is refused.
func (c *Codec) refuse(ctx context.Context, k key, topic string, refusal refusalError) (known, error) {
	_, login := refusal.Refusal()
	if err := c.vouch(ctx, k, topic, login); err != nil {
		return known{}, fmt.Errorf("%w (not taken for an answer about this id alone: %w)", refusal, err)
	}
	found, err := c.ask(ctx, k)
	refusal, again := errors.AsType[refusalError](err)
	if !again {
		return found, err
	}
	words, _ := refusal.Refusal()
	found = known{err: &schemaError{k.id, fmt.Errorf("%w: %s", errRefused, words)}, until: time.Now().Add(unknownTime)}
	c.metrics.refused.Inc()
	c.metrics.cached.Set(float64(c.cache.put(k, found)))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = time.Now()
	if c.told.IsZero() || time.Since(c.told) >= tellInterval {
		c.told = c.refused
		c.config.Log.Warn("the schema registry does not give a schema; values that name it cannot be read", "schema_id", k.id, "topic", topic, "answer", words)
	}
	return found, nil
}

var errNothingElse = errors.New("it answers nothing else well")

// subjects is a Registry that can be asked for a subject.
type subjects interface {
	Gives(ctx context.Context, subject string) (bool, error)
}

// vouch asks for something other than k and says why that was not answered well, if it
// was not. Where a refusal may be about who asks, that has to be a schema of the same
// kind of event, or the latest one of the topic's subject: another may be open to all.
// Otherwise it is any schema that is known to be there, or the subject's; an unknown id
// only where no schema is known, for some registries refuse all of those. One that is
// known and answered as unknown is no good answer: the registry has lost it.
func (c *Codec) vouch(ctx context.Context, k key, topic string, login bool) error {
	others := c.others(func(o key) bool { return o.id != k.id && (!login || o.event == k.event) })
	none := uint32(math.MaxInt32) // of which "there is none" is a good answer, too
	if k.id == none {
		none--
	}
	if len(others) == 0 && !login {
		others = append(others, none)
	}
	for _, other := range others {
		if _, there, err := c.question(ctx, other); err == nil && (there || other == none) {
			return nil
		}
	}
	asks, ok := c.config.Registry.(subjects)
	if !ok || topic == "" {
		return errNothingElse
	}
	subject := schemas.AvroSubject(topic)
	given := false
	if err := c.limit(ctx, func(ctx context.Context) (err error) {
		given, err = asks.Gives(ctx, subject)
		return err
	}); err == nil && given {
		return nil
	}
	if !login {
		return errNothingElse
	}
	return fmt.Errorf("it gives no other schema of %s either", subject)
}

// others are the ids of schemas that the registry has and that suit: one that it gave,
// and those it registered for what is written here.
func (c *Codec) others(suits func(key) bool) []uint32 {
	var ids []uint32
	if read, ok := c.cache.readable(suits); ok {
		ids = append(ids, read.id)
	}
	registered := c.ids.Load()
	if registered == nil {
		return ids // not yet
	}
	for e := range c.config.Writes {
		if id := registered[e]; suits(key{e, id}) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}
