package app

import (
	"context"

	"github.com/creditstream/creditstream/api"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// predictionPublisher is the API's way to the predictions topic.
type predictionPublisher struct {
	writer *kafka.Writer
	codec  *wire.Codec
}

// Publish is part of api.Publisher. Decisions of the API come from no record, so
// they carry no source headers.
func (p predictionPublisher) Publish(ctx context.Context, predictions []schemas.Prediction, at []api.Position, errs []error) {
	if err := p.codec.Await(ctx); err != nil {
		for i := range errs {
			errs[i] = err
		}
		return
	}
	messages := make([]kafka.Message, len(predictions))
	for i := range predictions {
		messages[i] = kafka.Message{
			Key:   []byte(predictions[i].ApplicationID),
			Value: p.codec.AppendPrediction(make([]byte, 0, predictionBytes), &predictions[i]),
		}
	}
	written := make([]kafka.Position, len(messages))
	p.writer.Write(ctx, messages, written, errs)
	for i, w := range written {
		at[i] = api.Position(w)
	}
}

// predictionBytes is what nearly every prediction fits into.
const predictionBytes = 1280
