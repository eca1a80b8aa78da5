package stream

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/creditstream/creditstream/internal/local"
)

// codes are all that the protocol has.
func codes() (all []*kerr.Error) {
	for code := int16(1); ; code++ {
		err := kerr.TypedErrorForCode(code)
		if errors.Is(err, kerr.UnknownServerError) {
			return append(all, err)
		}
		all = append(all, err)
	}
}

// committed is how many applications the group has answered.
func (w *world) committed() (n int) {
	offsets, err := kadm.NewClient(w.client).FetchOffsets(w.t.Context(), "g")
	if err != nil {
		return -1
	}
	offsets.Each(func(o kadm.OffsetResponse) { n += int(o.At) })
	return n
}

// Whatever a broker answers, one code after another: the process goes on or ends
// and is started again, and every application has one answer. Each request's codes
// are dealt out to several brokers: every code is waited for.
func TestEveryCodeOfABroker(t *testing.T) {
	const brokers = 4
	f := func(key kmsg.Key, options ...kfake.Opt) {
		for broker := range brokers {
			t.Run(fmt.Sprint(key.Name(), " ", broker), func(t *testing.T) {
				t.Parallel()
				var some []*kerr.Error
				for i, code := range codes() {
					if i%brokers == broker {
						some = append(some, code)
					}
				}
				survives(t, key, some, options...)
			})
		}
	}
	before890 := kfake.MaxVersions(kversion.V3_7_0())
	f(kmsg.Produce)
	f(kmsg.AddPartitionsToTxn, before890)
	f(kmsg.AddOffsetsToTxn, before890)
	f(kmsg.TxnOffsetCommit)
	f(kmsg.EndTxn)
}

// survives answers a request with one code after another.
func survives(t *testing.T, key kmsg.Key, codes []*kerr.Error, options ...kfake.Opt) {
	w := newWorldOn(t, options...)
	var next atomic.Pointer[kerr.Error] // the code to be answered, nil when it has been
	w.broker.Cluster().ControlKey(int16(key), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		if p, ok := request.(*kmsg.ProduceRequest); ok && p.TransactionID == nil {
			return nil, nil, false // the test's own
		}
		code := next.Swap(nil)
		if code == nil {
			return nil, nil, false
		}
		return local.Refusal(request, code.Code), nil, true
	})
	ended := 0
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for t.Context().Err() == nil {
			if w.scorer("one", func(c *Config) { c.Sessions = 1 }).Run(t.Context()) != nil {
				ended++
			}
		}
	}()
	n := 0
	for _, code := range codes {
		if key == kmsg.Produce && code == kerr.DuplicateSequenceNumber {
			continue // says that the records are there already: a broker that lies cannot be survived
		}
		next.Store(code)
		w.apply(n, n+partitions)
		n += partitions
		require.Eventually(t, func() bool { return next.Load() == nil && w.committed() == n }, time.Minute, time.Millisecond, code.Message)
	}
	w.exact(n)
	t.Cleanup(func() { <-stopped; t.Logf("%d codes, %d of them ended the process", len(codes), ended) })
}
