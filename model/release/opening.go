package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/creditstream/creditstream/model"
)

// openTime is how long a bundle may take to open. The shipped one takes some 50 ms;
// one that takes longer than this would be no use in serving either.
const openTime = 30 * time.Second

// openingError says that a bundle is being opened: whoever asked is woken when that
// is done, or has taken too long.
type openingError struct {
	version string
	since   time.Time
}

func (e *openingError) Error() string {
	return fmt.Sprintf("opening model %s since %s", e.version, e.since.UTC().Format("15:04:05"))
}

// opening is a bundle that is being opened beside the goroutine that asked for it,
// so that a slow one holds up no newer route.
type opening struct {
	since time.Time
	stop  context.CancelFunc
	done  chan struct{} // closed when model and err are there
	model *model.Model
	err   error
}

// inBackground lets the opener open bundles beside its caller until ctx ends. woken
// is called when one has opened, has failed to, or has taken too long; open is then
// to be asked again.
func (o *opener) inBackground(ctx context.Context, woken func()) {
	o.background, o.woken = ctx, woken
}

// begin opens a bundle in the background.
func (o *opener) begin(version string, bundle []byte) *opening {
	ctx, stop := context.WithTimeout(o.background, o.limit)
	one := &opening{since: o.now(), stop: stop, done: make(chan struct{})}
	o.opening[version] = one
	context.AfterFunc(ctx, o.woken)
	go func() {
		one.model, one.err = o.parse(ctx, bundle, o.engine)
		close(one.done)
		stop()
	}()
	return one
}

// result is what became of a bundle that is being opened: an *openingError while
// nothing has.
func (o *opener) result(version string, bundle []byte) (m *model.Model, err error) {
	one := o.opening[version]
	if one == nil {
		one = o.begin(version, bundle)
	}
	select {
	case <-one.done:
		m, err = one.model, one.err
		if errors.Is(err, context.DeadlineExceeded) {
			err = o.tooLong()
		}
	default:
		if o.now().Sub(one.since) < o.limit {
			return nil, &openingError{version, one.since}
		}
		one.stop() // what it comes to is for the garbage collector
		err = o.tooLong()
	}
	delete(o.opening, version)
	return m, err
}

func (o *opener) tooLong() error { return fmt.Errorf("it did not open within %s", o.limit) }

// abandon stops opening every version but those named.
func (o *opener) abandon(but map[string]bool) {
	for v, one := range o.opening {
		if !but[v] {
			one.stop()
			delete(o.opening, v)
		}
	}
}

// inProgress are the versions that are being opened.
func (o *opener) inProgress() []string {
	out := make([]string, 0, len(o.opening))
	for v := range o.opening {
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}
