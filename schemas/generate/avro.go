package main

import "github.com/creditstream/creditstream/schemas"

// namespace of every Avro record.
const namespace = "creditstream"

// avroSchemas are the events as Avro, by file name. A feature is an int or null,
// an instant a timestamp-micros.
func avroSchemas() map[string]object {
	features := object{{"type", "record"}, {"name", "Features"}, {"fields", avroFeatures()}}
	shadow := avroRecord("Shadow", "What a shadow model would have said.",
		field("model_version", "string", ""), field("default_probability", "float", ""), field("decision", "string", ""))
	reason := avroRecord("Reason", "An adverse action reason.",
		field("code", "string", "reason group"), field("contribution", "float", "log-odds"))
	return map[string]object{
		"application": avroEvent("Application", "What an applicant handed in.",
			field("application_id", "string", ""), field("applied_at", micros(), ""), field("features", features, "")),
		"prediction": avroEvent("Prediction", "A decision with the exact inputs it was made from.",
			field("application_id", "string", ""), field("applied_at", micros(), ""), field("decided_at", micros(), ""),
			field("channel", "string", "stream or api"), field("default_probability", "float", ""),
			field("default_prediction", "int", "0 or 1"), field("decision", "string", "approve, refer or decline"),
			field("points", "int", ""), field("reasons", object{{"type", "array"}, {"items", reason}}, "largest first"),
			field("model_version", "string", ""), field("engine", "string", "native or onnx"),
			field("route", "string", "champion or canary"), field("route_revision", "long", "-1 where none served"),
			field("policy_version", "string", ""),
			append(field("shadow", []any{"null", shadow}, ""), member{"default", nil}),
			field("features", features, "")),
		"outcome": avroEvent("Outcome", "What became of a loan.",
			field("application_id", "string", ""), field("defaulted", "int", "0 or 1"), field("observed_at", micros(), "")),
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
