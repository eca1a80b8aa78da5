package reports

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/local"
)

// Reports that are there and do not come at once are waited for: a slow broker makes no
// replica look as if it had never reported.
func TestLog_WaitsForReportsThatAreThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopic()
	w.said("one", time.Now())
	var looks atomic.Int64
	w.broker.Cluster().ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		if request.(*kmsg.FetchRequest).MaxWaitMillis == 500 { // a look
			looks.Add(1)
			return nil, nil, false
		}
		if looks.Load() > 0 {
			return nil, nil, false
		}
		return local.Refusal(request, kerr.NotLeaderForPartition.Code), nil, true
	})
	l, err := OpenLog(t.Context(), w.config, w.topics)
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, l.ReadToEnd(t.Context()))
	require.Len(t, l.Board.States(time.Now()), 1)
	require.Positive(t, looks.Load())
}
