package producer

import (
	"math"
	"strings"
	"time"

	"github.com/creditstream/creditstream/schemas"
)

// blend mixes malformed records into the stream: those asked for, and those of
// a broken feed.
type blend struct {
	asked  mixer
	broken mixer
	app    schemas.Application
}

func newBlend(share float64) *blend {
	return &blend{
		asked:  mixer{uint64(math.Round(share * 1e6))},
		broken: mixer{brokenFeedMalformed},
	}
}

// add appends the malformed records that follow application n.
func (m *blend) add(b *batch, topic string, n uint64, app *schemas.Application, a *applicant, w weather) {
	if serial, ok := m.asked.at(n); ok {
		m.append(b, topic, serial, "-malformed", app, a)
	}
	if w.fault == faultNone {
		return
	}
	if serial, ok := m.broken.at(n); ok {
		m.append(b, topic, serial, "-broken", app, a)
	}
}

// append makes one from an application; it has an id of its own, so that it is
// nobody's second application.
func (m *blend) append(b *batch, topic string, serial uint64, suffix string, app *schemas.Application, a *applicant) {
	id := app.ApplicationID
	if most := schemas.MaxApplicationID - len(suffix); len(id) > most {
		id = strings.ToValidUTF8(id[:most], "")
	}
	m.app = schemas.Application{
		ApplicationID: id + suffix,
		AppliedAt:     app.AppliedAt,
		Features:      a.features,
	}
	kind := Kind(serial % uint64(NumKinds))
	start := len(b.buf)
	b.buf = append(b.buf, m.app.ApplicationID...)
	value := len(b.buf)
	b.buf = AppendMalformed(b.buf, b.codec, kind, serial/uint64(NumKinds), &m.app)
	b.record(topic, start, value, int8(kind), time.UnixMicro(int64(app.AppliedAt)))
}
