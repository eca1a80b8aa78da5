package kafka

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// MaxBatch is what one batch may unpack to: 64 MiB. A broker takes 1 MiB of it as it
	// is sent, which may unpack to a thousand times as much.
	MaxBatch = 64 << 20
	// What a client unpacks before that is polled. The batch that reaches it is still
	// unpacked, so that one of MaxBatch can be.
	maxUnpacked = 16 << 20
	// What is unpacked without looking first how much it is: what producers send.
	commonBatch = 2 << 20
)

// errLater is why a batch is not unpacked yet. The client takes it for an error that
// passes: it fetches the batch again.
var errLater = fmt.Errorf("%d bytes are unpacked and not read yet: %w", maxUnpacked, kerr.ThrottlingQuotaExceeded)

// unpacker unpacks what one client fetches, within bounds: a batch to MaxBatch, and no
// more than maxUnpacked, and the batch that reaches it, before that is polled. A batch
// beyond MaxBatch costs no memory: it is a *kgo.ErrDecompressTooLarge.
type unpacker struct {
	client   atomic.Pointer[kgo.Client]
	unpacked atomic.Int64 // bytes of the fetch at hand, which the client does not count yet
}

// OnNewClient is part of kgo.HookNewClient.
func (u *unpacker) OnNewClient(client *kgo.Client) { u.client.Store(client) }

// OnBrokerRead is part of kgo.HookBrokerRead. It comes before a fetch is unpacked.
func (u *unpacker) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == int16(kmsg.Fetch) {
		u.unpacked.Store(0)
	}
}

// Decompress is part of kgo.Decompressor.
func (u *unpacker) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	if codec == kgo.CodecNone {
		return src, nil
	}
	buffered := int64(0)
	if client := u.client.Load(); client != nil {
		buffered = client.BufferedFetchBytes()
	}
	if buffered+u.unpacked.Load() >= maxUnpacked {
		return nil, errLater
	}
	out, err := unpack(src, codec, MaxBatch)
	u.unpacked.Add(int64(len(out)))
	return out, err
}

// unpack is kgo's decompressor, which cannot be had with a bound of one's own. What is
// larger than common is measured first, without being kept.
func unpack(src []byte, codec kgo.CompressionCodecType, most int64) ([]byte, error) {
	switch codec {
	case kgo.CodecSnappy:
		return unpackSnappy(src, most)
	case kgo.CodecGzip, kgo.CodecLz4, kgo.CodecZstd:
	default:
		return nil, fmt.Errorf("compression codec %d: expected gzip, snappy, lz4 or zstd", codec)
	}
	if codec == kgo.CodecZstd {
		d := commonZstd.Get().(*zstd.Decoder)
		out, err := d.DecodeAll(src, nil)
		commonZstd.Put(d)
		if !isLarge(err) {
			return out, err
		}
	} else {
		out := bytes.NewBuffer(make([]byte, 0, min(4*len(src), commonBatch)))
		n, err := stream(out, src, codec, commonBatch+1)
		if err != nil || n <= commonBatch {
			return out.Bytes(), err
		}
	}
	n, err := stream(io.Discard, src, codec, most+1)
	switch {
	case isLarge(err) || err == nil && n > most:
		return nil, kgo.ErrMaxDecompress
	case err != nil:
		return nil, err
	}
	if codec == kgo.CodecZstd {
		d, err := zstd.NewReader(nil, zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(most)))
		if err != nil {
			return nil, err
		}
		defer d.Close()
		return d.DecodeAll(src, make([]byte, 0, n)) // without a window beside it
	}
	out := bytes.NewBuffer(make([]byte, 0, n+bytes.MinRead)) // it looks for the end there
	_, err = stream(out, src, codec, n+1)
	return out.Bytes(), err
}

// isLarge says whether a zstd frame takes more than its decoder has.
func isLarge(err error) bool {
	return errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded)
}

var (
	commonZstd = sync.Pool{New: func() any {
		d, _ := zstd.NewReader(nil, zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(commonBatch))
		return d
	}}
	gzips, lz4s sync.Pool
)

// stream unpacks at most so many bytes.
func stream(out io.Writer, src []byte, codec kgo.CompressionCodecType, most int64) (n int64, err error) {
	var in io.Reader
	switch codec {
	case kgo.CodecGzip:
		r, ok := gzips.Get().(*gzip.Reader)
		if !ok {
			r = new(gzip.Reader)
		}
		defer gzips.Put(r)
		if err := r.Reset(bytes.NewReader(src)); err != nil {
			return 0, err
		}
		in = r
	case kgo.CodecLz4:
		r, ok := lz4s.Get().(*lz4.Reader)
		if !ok {
			r = lz4.NewReader(nil)
		}
		defer lz4s.Put(r)
		r.Reset(bytes.NewReader(src))
		in = r
	default:
		// What a large frame takes is not kept for the next.
		r, err := zstd.NewReader(bytes.NewReader(src), zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(MaxBatch))
		if err != nil {
			return 0, err
		}
		defer r.Close()
		in = r
	}
	n, err = io.Copy(out, io.LimitReader(in, most))
	return n, err
}

// xerial begins what the Java client writes of snappy: blocks, each behind its length.
var xerial = []byte{130, 83, 78, 65, 80, 80, 89, 0}

const xerialHeader = 16

func unpackSnappy(src []byte, most int64) ([]byte, error) {
	if len(src) <= xerialHeader || !bytes.HasPrefix(src, xerial) {
		n, err := s2.DecodedLen(src)
		if err != nil {
			return nil, err
		}
		if int64(n) > most {
			return nil, kgo.ErrMaxDecompress
		}
		return s2.Decode(nil, src)
	}
	total, blocks := int64(0), [][]byte(nil)
	for rest := src[xerialHeader:]; len(rest) > 0; {
		if len(rest) < 4 {
			return nil, errXerial
		}
		size := int64(rest[0])<<24 | int64(rest[1])<<16 | int64(rest[2])<<8 | int64(rest[3])
		rest = rest[4:]
		if size > int64(len(rest)) {
			return nil, errXerial
		}
		n, err := s2.DecodedLen(rest[:size])
		if err != nil {
			return nil, err
		}
		if total += int64(n); total > most {
			return nil, kgo.ErrMaxDecompress
		}
		blocks, rest = append(blocks, rest[:size]), rest[size:]
	}
	out := make([]byte, 0, total)
	for _, block := range blocks {
		n, err := s2.DecodedLen(block)
		if err != nil {
			return nil, err
		}
		if _, err := s2.Decode(out[len(out):len(out)+n], block); err != nil {
			return nil, err
		}
		out = out[:len(out)+n]
	}
	return out, nil
}

var errXerial = errors.New("snappy: a block's length does not fit")
