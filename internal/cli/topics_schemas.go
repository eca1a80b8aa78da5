package cli

import (
	"context"
	"fmt"

	"github.com/creditstream/creditstream/internal/registry"
	"github.com/creditstream/creditstream/schemas"
)

// appliedSchema is what apply registered.
type appliedSchema struct {
	Subject       string `json:"subject"`
	ID            uint32 `json:"id"`
	Compatibility string `json:"compatibility"`
}

// applySchemas registers what this version writes, once every version that the
// registry holds was found to be compatible both ways; it also sets that rule.
// Without a registry it does nothing.
func (c *topicsApplyCmd) applySchemas(p *process) ([]appliedSchema, error) {
	client, err := c.Kafka.Registry.Client(p.log)
	if client == nil || err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(p.ctx, applyTime)
	defer cancel()
	topics := c.Kafka.Topics()
	for e := range schemas.NumEvents {
		subject := schemas.AvroSubject(e.Topic(topics))
		versions, err := client.Versions(ctx, subject)
		if err != nil {
			return nil, err
		}
		for _, v := range versions {
			if err := schemas.CheckAvro(v.Schema, schemas.AvroSchema(e)); err != nil {
				return nil, fmt.Errorf("version %d of %s and this program's schema are not compatible: %w", v.Number, subject, err)
			}
		}
	}
	var applied []appliedSchema
	for e := range schemas.NumEvents {
		subject := schemas.AvroSubject(e.Topic(topics))
		if err := client.RequireFullTransitive(ctx, subject); err != nil {
			return nil, err
		}
		id, err := client.Register(ctx, subject, schemas.AvroSchema(e))
		if err != nil {
			return nil, err
		}
		applied = append(applied, appliedSchema{subject, id, registry.FullTransitive})
	}
	return applied, nil
}
