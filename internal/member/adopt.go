package member

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Adopted says what Adopt did.
type Adopted struct {
	Group   string        `json:"group"`
	Former  string        `json:"former"`
	Offsets []GroupOffset `json:"offsets"` // moved; none: there was nothing to move
}

// GroupOffset is one offset of a group.
type GroupOffset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// MembersError says that a group is in use.
type MembersError struct {
	Group   string
	Members []InGroup
}

func (e *MembersError) Error() string {
	names := make([]string, len(e.Members))
	for i, m := range e.Members {
		names[i] = m.String()
	}
	slices.Sort(names)
	return fmt.Sprintf("group %s has members: %s; stop them first", e.Group, strings.Join(slices.Compact(names), ", "))
}

// Adopt moves a group's offsets of topics from its former name to its own. It
// refuses while either has members. Brokers refuse to delete offsets under a member
// that reads them: deleting the old ones before the new ones are there fences whoever
// joins meanwhile, and a third group, named after the new one, holds them in between,
// so that Adopt continues where it was interrupted. Old offsets never stay: a
// component of an earlier release would go by them and answer again what was
// answered since.
func (n Names) Adopt(ctx context.Context, adm *kadm.Client, topics ...string) (a Adopted, err error) {
	a = Adopted{Group: n.Group, Former: n.Former, Offsets: []GroupOffset{}}
	between := n.Group + ".adopting"
	var own, old, held kadm.Offsets
	for group, offsets := range map[string]*kadm.Offsets{n.Group: &own, n.Former: &old, between: &held} {
		if *offsets, err = offsetsOf(ctx, adm, group, topics); err != nil {
			return a, err
		}
	}
	switch {
	case len(old) == 0 && len(held) == 0:
		return a, nil
	case len(old) == 0 && covers(own, held): // interrupted at the very end
		return a, deleteOffsets(ctx, adm, between, held)
	case len(own) > 0:
		return a, fmt.Errorf("groups %s and %s both have committed offsets of %s: decide which of them counts, and delete the other's with kafka-consumer-groups.sh --delete-offsets",
			n.Group, n.Former, strings.Join(topics, " and "))
	}
	for _, group := range []string{n.Former, n.Group} {
		members, err := MembersOf(ctx, adm, group)
		if err != nil {
			return a, err
		}
		if len(members) > 0 {
			return a, &MembersError{group, members}
		}
	}
	if len(old) > 0 {
		old.Each(func(o kadm.Offset) { held.Add(o) })
		if err := commit(ctx, adm, between, held); err != nil {
			return a, err
		}
		if err := deleteOffsets(ctx, adm, n.Former, old); err != nil {
			return a, err
		}
	}
	if err := commit(ctx, adm, n.Group, held); err != nil {
		return a, err
	}
	for _, o := range held.Sorted() {
		a.Offsets = append(a.Offsets, GroupOffset{o.Topic, o.Partition, o.At})
	}
	return a, deleteOffsets(ctx, adm, between, held)
}

// offsetsOf are a group's committed offsets. Those of a transaction under way are
// waited for.
func offsetsOf(ctx context.Context, adm *kadm.Client, group string, topics []string) (kadm.Offsets, error) {
	committed, err := adm.FetchOffsetsForTopics(kadm.RequireStable(ctx), group, topics...)
	offsets := kadm.Offsets{}
	if err == nil || errors.Is(err, kerr.GroupIDNotFound) {
		err = nil
		committed.Each(func(o kadm.OffsetResponse) {
			switch {
			case o.Err != nil:
				err = o.Err
			case o.At >= 0:
				offsets.Add(o.Offset)
			}
		})
	}
	if err != nil {
		return nil, fmt.Errorf("reading the offsets of group %s: %w", group, err)
	}
	return offsets, nil
}

// covers says whether every one of some offsets has been reached by others.
func covers(have, want kadm.Offsets) bool {
	all := true
	want.Each(func(o kadm.Offset) {
		at, ok := have.Lookup(o.Topic, o.Partition)
		all = all && ok && at.At >= o.At
	})
	return all
}

func commit(ctx context.Context, adm *kadm.Client, group string, offsets kadm.Offsets) error {
	if err := adm.CommitAllOffsets(ctx, group, offsets); err != nil {
		return fmt.Errorf("committing offsets for group %s: %w", group, err)
	}
	return nil
}

func deleteOffsets(ctx context.Context, adm *kadm.Client, group string, offsets kadm.Offsets) error {
	deleted, err := adm.DeleteOffsets(ctx, group, offsets.TopicsSet())
	if err == nil {
		err = deleted.Error()
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("deleting the offsets of group %s: %w", group, err)
	}
	return nil
}
