package schemas

import (
	"encoding/json"

	"github.com/twmb/avro"
)

// applicationIDName is the field that identifies an event.
const applicationIDName = "application_id"

// beginningOf is a record's schema without the fields behind its application_id; nil
// where it has none, or is no record.
func beginningOf(writer string) *avro.Schema {
	var record map[string]json.RawMessage
	var fields []json.RawMessage
	if json.Unmarshal([]byte(writer), &record) != nil || json.Unmarshal(record["fields"], &fields) != nil {
		return nil
	}
	for i, text := range fields {
		var field struct {
			Name string `json:"name"`
		}
		if json.Unmarshal(text, &field) != nil || field.Name != applicationIDName {
			continue
		}
		kept, err := json.Marshal(fields[:i+1])
		if err != nil {
			return nil
		}
		record["fields"] = kept
		whole, err := json.Marshal(record)
		if err != nil {
			return nil
		}
		if s, err := avro.Parse(string(whole)); err == nil {
			return s
		}
		return nil
	}
	return nil
}

// CutApplication reads the application_id of an application of which only the beginning
// was kept. known is false where that ends before it, or it breaks its rule.
func (r *AvroReader) CutApplication(beginning []byte) (id string, known bool) {
	if r.beginning == nil {
		return "", false
	}
	var v map[string]any
	if _, err := r.beginning.Decode(beginning, &v); err != nil {
		return "", false
	}
	if id, known = v[applicationIDName].(string); !known || !ValidApplicationID([]byte(id)) {
		return "", false
	}
	return id, true
}
