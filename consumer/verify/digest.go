package verify

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// appendPlace begins every digest, so that two answers cannot be exchanged.
func appendPlace(dst []byte, partition int32, offset int64) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(partition))
	return binary.LittleEndian.AppendUint64(dst, uint64(offset))
}

// says is the digest of what an application says, at its source.
func (r *run) says(partition int32, offset int64, id string, at schemas.Timestamp, f *schemas.Features) uint64 {
	b := append(appendPlace(r.buf[:0], partition, offset), 'a')
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	for _, v := range f {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	b = append(b, id...)
	r.buf = b
	return xxhash.Sum64(b)
}

// looks is the digest of a record that says nothing, at its source.
func (r *run) looks(partition int32, offset int64, key, value []byte) uint64 {
	b := append(appendPlace(r.buf[:0], partition, offset), 'r')
	b = binary.LittleEndian.AppendUint64(b, uint64(len(key)))
	b = append(append(b, key...), value...)
	r.buf = b
	return xxhash.Sum64(b)
}

// content is the digest of an application's record, and whether it can be
// decoded; it is then in r.app. The error is that nobody can tell.
func (r *run) content(ctx context.Context, partition int32, offset int64, key, value []byte) (digest uint64, valid bool, err error) {
	if err := r.Codec.DecodeApplication(ctx, value, &r.app); err != nil {
		if !wire.IsBroken(err) {
			return 0, false, fmt.Errorf("reading application %d/%d: %w", partition, offset, err)
		}
		return r.looks(partition, offset, key, value), false, nil
	}
	return r.says(partition, offset, r.app.ApplicationID, r.app.AppliedAt, &r.app.Features), true, nil
}
