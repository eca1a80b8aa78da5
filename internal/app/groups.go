package app

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/schemas"
)

// GroupNames are what a component's group may be called: as its flag says, or by
// default and, where that has no commits, as it was called before.
func GroupNames(prefix, component, flag string) member.Names {
	if flag != "" {
		return member.Names{Group: flag}
	}
	return member.Names{Group: schemas.GroupName(prefix, component), Former: component}
}

// GroupInUse is the name by which a component's group goes now.
func GroupInUse(ctx context.Context, k kafka.Config, component, flag string, topics ...string) (string, error) {
	names := GroupNames(k.Prefix, component, flag)
	if names.Former == "" {
		return names.Group, nil
	}
	client, err := k.Connect(ctx)
	if err != nil {
		return "", err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	if err := kafka.RequireAccess(ctx, adm, kafka.Reads(topics...)); err != nil {
		return "", err
	}
	return names.Resolve(ctx, adm, topics...)
}
