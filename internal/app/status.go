package app

import (
	"errors"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/latest"
)

// driftFeed shows the API what a latest.Follower knows.
type driftFeed struct {
	follower *latest.Follower
}

// Newest is part of api.Drift.
func (d driftFeed) Newest() (*drift.Status, []byte, error) {
	newest, err := d.follower.Newest()
	switch {
	case errors.Is(err, latest.ErrNone):
		return nil, nil, nil
	case err != nil:
		return nil, nil, err
	}
	return &newest.Status, newest.JSON, nil
}
