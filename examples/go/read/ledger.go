package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"
)

// decision is what is kept of a prediction; the record holds more.
type decision struct {
	Key                string   `json:"key"` // which application record was decided
	ApplicationID      string   `json:"application_id"`
	DecidedAt          string   `json:"decided_at"`
	Channel            string   `json:"channel"`
	Decision           string   `json:"decision"` // approve, refer or decline
	DefaultProbability float64  `json:"default_probability"`
	Points             int      `json:"points"`
	Reasons            []reason `json:"reasons"` // largest first
	ModelVersion       string   `json:"model_version"`
}

type reason struct {
	Code         string  `json:"code"`
	Contribution float64 `json:"contribution"` // log-odds, towards default
}

// ledger keeps every decision once, whatever comes twice. It stands for a table
// with a primary key.
type ledger struct {
	file *os.File
	out  *bufio.Writer
	keys map[string]bool
}

// openLedger reads which decisions a file holds. A last line without its end was
// being written when a process died; its offset was not committed, so it is cut
// off and will come again.
func openLedger(path string) (*ledger, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	l := &ledger{file: f, out: bufio.NewWriter(f), keys: map[string]bool{}}
	if err := l.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return l, nil
}

func (l *ledger) load() error {
	in, size := bufio.NewReader(l.file), int64(0)
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		var d decision
		if err := json.Unmarshal(line, &d); err != nil || d.Key == "" {
			return fmt.Errorf("byte %d: not a line that this program wrote", size)
		}
		l.keys[d.Key] = true
		size += int64(len(line))
	}
	if err := l.file.Truncate(size); err != nil {
		return err
	}
	_, err := l.file.Seek(size, io.SeekStart)
	return err
}

// add keeps a record's decision unless it is there.
func (l *ledger) add(r *kgo.Record) error {
	if bytes.HasPrefix(r.Value, []byte{0}) {
		return errors.New("the value is Avro in the schema registry's framing; this example reads JSON")
	}
	var d decision
	if err := json.Unmarshal(r.Value, &d); err != nil {
		return err
	}
	d.Key = key(r)
	if l.keys[d.Key] {
		return nil
	}
	line, err := json.Marshal(d)
	if err != nil {
		return err
	}
	if _, err := l.out.Write(append(line, '\n')); err != nil {
		return err
	}
	l.keys[d.Key] = true
	return nil
}

// key names what was decided. The scorer says which application record it
// answers, and answers each once; that also holds where the topic was copied to
// another cluster with other offsets. A decision asked for over HTTP has no such
// record, so its own place must do.
func key(r *kgo.Record) string {
	source := map[string]string{}
	for _, h := range r.Headers {
		source[h.Key] = string(h.Value)
	}
	if topic := source["source-topic"]; topic != "" {
		return topic + "/" + source["source-partition"] + "/" + source["source-offset"]
	}
	return fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)
}

// sync puts what was added on disk.
func (l *ledger) sync() error {
	if err := l.out.Flush(); err != nil {
		return err
	}
	return l.file.Sync()
}

func (l *ledger) close() error {
	return errors.Join(l.out.Flush(), l.file.Close())
}
