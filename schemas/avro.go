package schemas

import (
	_ "embed" // the generated schemas
	"encoding/binary"
	"strconv"
)

// Event is a kind of event that has an Avro form.
type Event uint8

// Events.
const (
	EventApplication Event = iota
	EventPrediction
	EventOutcome
	NumEvents
)

var eventNames = [NumEvents]string{"application", "prediction", "outcome"}

func (e Event) String() string {
	if e < NumEvents {
		return eventNames[e]
	}
	return "Event(" + strconv.Itoa(int(e)) + ")"
}

// Topic is where an event of this kind is written.
func (e Event) Topic(t Topics) string {
	return [NumEvents]string{t.Applications, t.Predictions, t.Outcomes}[e]
}

var (
	//go:embed avro/application.avsc
	applicationAvro string
	//go:embed avro/prediction.avsc
	predictionAvro string
	//go:embed avro/outcome.avsc
	outcomeAvro string
)

// AvroSchema is the generated Avro schema of an event: what this version writes.
func AvroSchema(e Event) string {
	return [NumEvents]string{applicationAvro, predictionAvro, outcomeAvro}[e]
}

// AvroSubject is the name under which a registry keeps the schemas of a topic's
// values (Confluent's TopicNameStrategy).
func AvroSubject(topic string) string { return topic + "-value" }

// A value in Avro stands behind a zero byte and the id, big-endian, that a
// registry gave the schema it was written with (Confluent's wire format). No
// JSON text begins with a zero byte.
const (
	avroMagic  = 0
	avroHeader = 5
)

// IsAvro says whether a value is Avro: its first byte tells.
func IsAvro(value []byte) bool { return len(value) > 0 && value[0] == avroMagic }

// AppendAvroHeader begins a value that was written with schema id.
func AppendAvroHeader(dst []byte, id uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, avroMagic), id)
}

// CutAvroHeader takes a value apart that IsAvro: the id of its schema, and what
// was written with it.
func CutAvroHeader(value []byte) (id uint32, body []byte, err error) {
	if len(value) < avroHeader {
		return 0, nil, &DecodeError{Msg: "byte " + strconv.Itoa(len(value)) + ": expected the four bytes of a schema id behind a zero byte, found the end"}
	}
	return binary.BigEndian.Uint32(value[1:]), value[avroHeader:], nil
}
