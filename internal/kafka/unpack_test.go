package kafka

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// packers pack as producers do.
func packers(t testing.TB) map[string]struct {
	codec kgo.CompressionCodecType
	pack  func([]byte) []byte
} {
	encoder, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	type packer = struct {
		codec kgo.CompressionCodecType
		pack  func([]byte) []byte
	}
	return map[string]packer{
		"none":   {kgo.CodecNone, func(b []byte) []byte { return b }},
		"snappy": {kgo.CodecSnappy, func(b []byte) []byte { return s2.EncodeSnappy(nil, b) }},
		"snappy of Java": {kgo.CodecSnappy, func(b []byte) []byte {
			out := append(bytes.Clone(xerial), 0, 0, 0, 1, 0, 0, 0, 1)
			for len(b) > 0 {
				part := b[:min(32<<10, len(b))]
				b = b[len(part):]
				block := s2.EncodeSnappy(nil, part)
				out = append(binary.BigEndian.AppendUint32(out, uint32(len(block))), block...)
			}
			return out
		}},
		"gzip": {kgo.CodecGzip, func(b []byte) []byte {
			var out bytes.Buffer
			w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
			require.NoError(t, err)
			_, err = w.Write(b)
			require.NoError(t, err)
			require.NoError(t, w.Close())
			return out.Bytes()
		}},
		"lz4": {kgo.CodecLz4, func(b []byte) []byte {
			var out bytes.Buffer
			w := lz4.NewWriter(&out)
			_, err := w.Write(b)
			require.NoError(t, err)
			require.NoError(t, w.Close())
			return out.Bytes()
		}},
		"zstd": {kgo.CodecZstd, func(b []byte) []byte { return encoder.EncodeAll(b, nil) }},
		"zstd without a length": {kgo.CodecZstd, func(b []byte) []byte {
			var out bytes.Buffer
			w, err := zstd.NewWriter(&out)
			require.NoError(t, err)
			_, err = w.Write(b)
			require.NoError(t, err)
			require.NoError(t, w.Close())
			return out.Bytes()
		}},
	}
}

func TestUnpacker_UnpacksWhatProducersPack(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	all := make([]byte, 4<<20)
	for i := range all[:64<<10] { // short: where nothing repeats, gzip takes long
		all[i] = byte(random.IntN(4))
	}
	for i := 64 << 10; i < len(all); i += 64 << 10 {
		copy(all[i:], all[:64<<10])
	}
	for name, p := range packers(t) {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{1, 100, 40 << 10, commonBatch - 1, commonBatch, commonBatch + 1, len(all)} {
				in := all[:n]
				packed := p.pack(in)
				out, err := new(unpacker).Decompress(packed, p.codec)
				require.NoError(t, err, n)
				require.True(t, bytes.Equal(in, out), n)
				if p.codec != kgo.CodecNone && n > 100 {
					_, err = unpack(packed[:len(packed)/2], p.codec, MaxBatch)
					require.Error(t, err, "cut")
				}
			}
		})
	}
}

// What unpacks to more than the bound is refused without being unpacked.
func TestUnpacker_RefusesWhatIsTooLarge(t *testing.T) {
	const bound = 8 << 20
	in := make([]byte, 40<<20) // with room for the buffers that a pool drops under the race detector
	for name, p := range packers(t) {
		if p.codec == kgo.CodecNone {
			continue
		}
		t.Run(name, func(t *testing.T) {
			out, err := unpack(p.pack(in[:bound]), p.codec, bound)
			require.NoError(t, err)
			require.Len(t, out, bound)
			_, err = unpack(p.pack(in[:bound+1]), p.codec, bound)
			require.ErrorIs(t, err, kgo.ErrMaxDecompress)
			packed := p.pack(in)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err = unpack(packed, p.codec, bound)
			runtime.ReadMemStats(&after)
			require.ErrorIs(t, err, kgo.ErrMaxDecompress)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(len(in)))
		})
	}
	_, err := new(unpacker).Decompress(packers(t)["zstd"].pack(make([]byte, MaxBatch+1)), kgo.CodecZstd)
	require.ErrorIs(t, err, kgo.ErrMaxDecompress)
}

// What was unpacked and not polled is bounded: the rest of a fetch is fetched again.
func TestUnpacker_WaitsForWhatIsNotPolled(t *testing.T) {
	packed := packers(t)["zstd"].pack(make([]byte, 10<<20))
	u := new(unpacker)
	for range 2 {
		_, err := u.Decompress(packed, kgo.CodecZstd)
		require.NoError(t, err)
	}
	_, err := u.Decompress(packed, kgo.CodecZstd)
	require.ErrorIs(t, err, errLater)
	require.True(t, kerr.IsRetriable(err), "the client is to fetch it again by itself")
	u.OnBrokerRead(kgo.BrokerMetadata{}, 1, 0, 0, 0, nil)
	_, err = u.Decompress(packed, kgo.CodecZstd)
	require.NoError(t, err)
}

func BenchmarkUnpack(b *testing.B) {
	in := make([]byte, 100<<10)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range in {
		in[i] = byte(random.IntN(8))
	}
	for name, p := range packers(b) {
		packed := p.pack(in)
		for kind, d := range map[string]kgo.Decompressor{"ours": nil, "kgo": kgo.DefaultDecompressor()} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(in)))
				for b.Loop() {
					d := d
					if d == nil {
						d = new(unpacker)
					}
					if _, err := d.Decompress(packed, p.codec); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
