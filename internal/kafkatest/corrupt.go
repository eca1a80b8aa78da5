// Package kafkatest breaks what brokers keep on disk, for tests.
package kafkatest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// ErrNoBatch is that no file holds a batch with the offset.
var ErrNoBatch = errors.New("no such batch")

// Flip flips one byte of the batch that holds an offset, in a partition's log under
// dir, as a disk may: the last of its records, or where header is true one of its
// length. It knows the logs of Apache Kafka and of the embedded broker.
func Flip(dir, topic string, partition int32, offset int64, header bool) error {
	return change(dir, topic, partition, offset, func(length int64) (at int64, mask byte) {
		if header {
			return 8, 0x40
		}
		return length - 1, 0x40
	})
}

// Damage is what a disk may do to the batch that holds an offset; see Flip.
type Damage func(dir, topic string, partition int32, offset int64) error

// Records flips a byte of a batch's records.
func Records(dir, topic string, partition int32, offset int64) error {
	return Flip(dir, topic, partition, offset, false)
}

// Length flips a byte of a batch's length.
func Length(dir, topic string, partition int32, offset int64) error {
	return Flip(dir, topic, partition, offset, true)
}

// Format changes the byte of a batch that says in what format the rest of it is: 2, as it
// was written.
func Format(magic byte) Damage {
	return func(dir, topic string, partition int32, offset int64) error {
		return change(dir, topic, partition, offset, func(int64) (int64, byte) { return 16, magic ^ 2 })
	}
}

// Moved is Move of a bit.
func Moved(bit int) Damage {
	return func(dir, topic string, partition int32, offset int64) error {
		return Move(dir, topic, partition, offset, bit)
	}
}

// Move flips one bit of the first offset of the batch that holds an offset, which its
// checksum does not cover; bit 0 is the lowest.
func Move(dir, topic string, partition int32, offset int64, bit int) error {
	return change(dir, topic, partition, offset, func(int64) (int64, byte) { return int64(7 - bit/8), 1 << (bit % 8) })
}

// change flips bits of a byte of the batch that holds an offset.
func change(dir, topic string, partition int32, offset int64, which func(length int64) (at int64, mask byte)) error {
	var files []string
	for _, pattern := range []string{"*/%s-%d/*.log", "%s-%d/*.log", "partitions/%s-%d/*.dat"} {
		found, err := filepath.Glob(filepath.Join(dir, fmt.Sprintf(pattern, topic, partition)))
		if err != nil {
			return err
		}
		files = append(files, found...)
	}
	slices.Sort(files)
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for at := int64(0); at+61 <= int64(len(content)); {
			base := int64(binary.BigEndian.Uint64(content[at:]))
			length := int64(binary.BigEndian.Uint32(content[at+8:])) + 12
			last := base + int64(binary.BigEndian.Uint32(content[at+23:]))
			if length < 61 || at+length > int64(len(content)) {
				break
			}
			if base <= offset && offset <= last {
				n, mask := which(length)
				return flip(name, at+n, content[at+n]^mask)
			}
			at += length
		}
	}
	return fmt.Errorf("%s/%d offset %d under %s: %w", topic, partition, offset, dir, ErrNoBatch)
}

func flip(name string, at int64, to byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = f.WriteAt([]byte{to}, at)
	return err
}
