package main

import "github.com/creditstream/creditstream/schemas"

// namespace of every Avro record.
const namespace = "creditstream"

// avroSchemas are the events as Avro, by file name. A feature is an int or null,
// an instant a timestamp-micros.
func avroSchemas() map[string]object {
	const (
		id       = "1 to 128 bytes of UTF-8, no control characters"
		decision = "approve, refer or decline"
	)
	features := avroRecord("Features", "Whole numbers; null where a value is not known. None has a default: a writer says that it does not know.", avroFeatures()...)
	shadow := avroRecord("Shadow", "What a shadow model would have said.",
		field("model_version", "string", "version that ran beside"), field("default_probability", "float", "0 to 1"),
		field("decision", "string", decision))
	reason := avroRecord("Reason", "An adverse action reason.",
		field("code", "string", "reason group; its text is in the model's bundle"),
		field("contribution", "float", "log-odds towards default, summed over the reason group"))
	return map[string]object{
		"application": avroEvent("Application", "What an applicant handed in.",
			field("application_id", "string", id), field("applied_at", micros(), "when the application was made"),
			field("features", features, "what is known of the applicant")),
		"prediction": avroEvent("Prediction", "A decision with the exact inputs it was made from.",
			field("application_id", "string", id), field("applied_at", micros(), "when the application was made"),
			field("decided_at", micros(), "when it was decided"),
			field("channel", "string", "how the decision was asked for: stream or api"),
			field("default_probability", "float", "probability of default, 0 to 1"),
			field("default_prediction", "int", "1 when the probability is at or above the policy's threshold, else 0"),
			field("decision", "string", decision), field("points", "int", "scorecard points, more is safer"),
			field("reasons", object{{"type", "array"}, {"items", reason}}, "adverse action reasons, at most four, largest first"),
			field("model_version", "string", "version that decided"),
			field("engine", "string", "what computed the probability: native or onnx"),
			field("route", "string", "which of the route's versions decided: champion or canary"),
			field("route_revision", "long", "offset of the route record, -1 where none served"),
			field("policy_version", "string", "first 8 hex digits of the SHA-256 of the policy's text"),
			append(field("shadow", []any{"null", shadow}, "null when no shadow ran"), member{"default", nil}),
			field("features", features, "as received")),
		"outcome": avroEvent("Outcome", "What became of a loan.",
			field("application_id", "string", id), field("defaulted", "int", "1 defaulted, 0 did not"),
			field("observed_at", micros(), "when that was known")),
	}
}

func avroFeatures() []object {
	var fields []object
	for _, r := range schemas.FeatureRules {
		fields = append(fields, field(r.Name, []string{"null", "int"}, r.Doc))
	}
	return fields
}

func avroEvent(name, doc string, fields ...object) object {
	return append(object{{"namespace", namespace}}, avroRecord(name, doc, fields...)...)
}

func avroRecord(name, doc string, fields ...object) object {
	return object{{"type", "record"}, {"name", name}, {"doc", doc}, {"fields", fields}}
}

func field(name string, kind any, doc string) object {
	f := object{{"name", name}, {"type", kind}}
	if doc != "" {
		f = append(f, member{"doc", doc})
	}
	return f
}

func micros() object {
	return object{{"type", "long"}, {"logicalType", "timestamp-micros"}}
}
