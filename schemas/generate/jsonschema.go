package main

import "github.com/creditstream/creditstream/schemas"

// jsonSchemas are the events as JSON Schema 2020-12, by file name.
func jsonSchemas() map[string]object {
	return map[string]object{
		"application": event("Application", "What an applicant handed in.", object{
			{"application_id", applicationID()},
			{"applied_at", instant("when the application was made")},
			{"features", features()},
		}),
		"prediction": event("Prediction", "A decision with the exact inputs it was made from.", object{
			{"application_id", applicationID()},
			{"applied_at", instant("when the application was made")},
			{"decided_at", instant("when it was decided")},
			{"channel", choice("how the decision was asked for", schemas.ChannelStream, schemas.ChannelAPI)},
			{"default_probability", number(0, 1, "probability of default")},
			{"default_prediction", integer(0, 1, "1 when the probability is at or above the policy's threshold")},
			{"decision", decision()},
			{"points", object{{"type", "integer"}, {"description", "scorecard points, more is safer"}}},
			{"reasons", object{
				{"type", "array"}, {"maxItems", schemas.MaxReasons},
				{"description", "adverse action reasons, largest first"},
				{"items", record(object{
					{"code", text("reason group; its text is in the model's bundle")},
					{"contribution", object{{"type", "number"}, {"exclusiveMinimum", 0}, {"description", "log-odds towards default, summed over the reason group"}}},
				})},
			}},
			{"model_version", text("version that decided")},
			{"engine", choice("what computed the probability", "native", "onnx")},
			{"route", choice("which of the route's versions decided", schemas.RouteChampion, schemas.RouteCanary)},
			{"route_revision", object{{"type", "integer"}, {"minimum", -1}, {"description", "offset of the route record, -1 where none served"}}},
			{"policy_version", policyVersion()},
			{"shadow", record(object{
				{"model_version", text("version that ran beside")},
				{"default_probability", number(0, 1, "what it would have said")},
				{"decision", decision()},
			})},
			{"features", features()},
		}, "shadow"),
		"outcome": event("Outcome", "What became of a loan.", object{
			{"application_id", applicationID()},
			{"defaulted", integer(0, 1, "1 defaulted, 0 did not")},
			{"observed_at", instant("when that was known")},
		}),
		"route": event("Route", "Which versions serve, and under which policy.", object{
			{"champion", text("version that decides")},
			{"canary", nullable(record(object{
				{"model_version", text("version that decides for a share")},
				{"share", object{{"type", "number"}, {"exclusiveMinimum", 0}, {"exclusiveMaximum", 1}, {"description", "in steps of 1/10,000"}}},
			}))},
			{"shadow", object{{"type", []string{"string", "null"}}, {"minLength", 1}, {"description", "version that runs beside, deciding nothing"}}},
			{"policy", object{{"type", "string"}, {"description", "YAML text of the policy"}}},
			{"by", text("who set the route")},
			{"at", instant("when it was set")},
			{"why", object{{"type", "string"}, {"description", "the reason given"}}},
		}),
		"alert": event("Alert", "A watched statistic crossed its threshold, or came back.", object{
			{"alert", text("name, as drift/limit_bal")},
			{"state", choice("what it is now", schemas.AlertFiring, schemas.AlertResolved)},
			{"since", instant("when it came into this state")},
			{"evaluated_at", instant("when the figures were taken")},
			{"statistic", text("what was compared")},
			{"value", object{{"type", "number"}, {"description", "of the statistic"}}},
			{"threshold", object{{"type", "number"}, {"description", "that it was compared with"}}},
			{"window", record(object{
				{"name", text("which window")},
				{"from", instant("its beginning")},
				{"to", instant("its end")},
				{"decisions", object{{"type", "integer"}, {"minimum", 0}, {"description", "that are in it"}}},
			})},
			{"contributors", object{
				{"type", "array"}, {"description", "the features that moved, empty where none did"},
				{"items", record(object{
					{"feature", text("its name")},
					{"psi", object{{"type", "number"}, {"minimum", 0}, {"description", "population stability index against the reference"}}},
				})},
			}},
			{"reference", object{{"type", "string"}, {"description", "digest of the reference, empty where none was compared with"}}},
			{"model_versions", object{{"type", "array"}, {"items", text("a version")}, {"description", "that decided in the window"}}},
			{"runbook", object{{"type", "string"}, {"description", "what to do about it"}}},
		}),
		"replica": replica(),
	}
}

func replica() object {
	return event("Replica", "What one running component says of itself, once a second.", object{
		{"component", text("score, api, view, produce or drift")},
		{"instance", text("its name, unique among the components of its kind")},
		{"host", anyText("that it runs on")},
		{"version", anyText("of the program")},
		{"started", instant("when its process was started; with component and instance it names one process")},
		{"at", instant("when it said this")},
		{"ready", object{{"type", "boolean"}, {"description", "whether it can do its work"}}},
		{"reason", anyText("why it is not ready; empty when it is")},
		{"pending", anyText("what it waits for though it is ready; empty: nothing")},
		{"models", describedAs("which models it serves; absent where it serves none", record(object{
			{"route_revision", revision("that is in force, -1 where none is")},
			{"newest_revision", revision("newest that it has read, -1 where it has read none")},
			{"champion", anyText("version; empty while nothing serves")},
			{"canary", anyText("version; empty without one")},
			{"shadow", anyText("version; empty without one")},
			{"pending", anyText("why the newest route is not in force; empty when it is")},
			{"refused", object{
				{"type", "array"}, {"description", "bundles that routes named and that cannot serve"},
				{"items", record(object{{"model_version", text("version of the bundle")}, {"reason", anyText("why it cannot serve")}})},
			}},
		}))},
		{"decisions", record(object{
			{schemas.Approve, count("since it was started")}, {schemas.Refer, count("since it was started")}, {schemas.Decline, count("since it was started")},
		})},
		{"dead_letters", count("since it was started")},
		{"errors", count("what had to be done again, or was given up, since it was started")},
		{"recent", describedAs("what was done in the last seconds", stretch())},
		{"total", describedAs("what was done since it was started", stretch())},
		{"lag", object{
			{"type", "array"}, {"description", "of the partitions that it owns; empty where it has no group"},
			{"items", record(object{{"partition", count("its number")}, {"offsets", count("committed and not done yet")}})},
		}},
	}, "models")
}

// stretch is a ReplicaStretch.
func stretch() object {
	return record(object{
		{"seconds", object{{"type", "number"}, {"minimum", 0}, {"description", "how long it is"}}},
		{"records", count("that were done in it")},
		{"latency", object{
			{"type", "string"}, {"contentEncoding", "base64"},
			{"description", "a DDSketch of seconds in its own binary encoding, relative accuracy 0.01; sketches of several replicas can be merged; empty: nothing was timed"},
		}},
	})
}

func count(description string) object {
	return object{{"type", "integer"}, {"minimum", 0}, {"description", description}}
}

func revision(description string) object {
	return object{{"type", "integer"}, {"minimum", -1}, {"description", "route revision " + description}}
}

func anyText(description string) object {
	return object{{"type", "string"}, {"description", description}}
}

func describedAs(description string, schema object) object {
	return append(schema, member{"description", description})
}

func event(title, description string, properties object, optional ...string) object {
	return append(object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"title", title}, {"description", description},
	}, record(properties, optional...)...)
}

// record is an object; unknown keys are ignored, as the contract says.
func record(properties object, optional ...string) object {
	required := []string{}
	for _, m := range properties {
		if len(optional) == 0 || m.key != optional[0] {
			required = append(required, m.key)
		}
	}
	return object{{"type", "object"}, {"required", required}, {"properties", properties}}
}

func applicationID() object {
	return object{
		{"type", "string"}, {"minLength", 1}, {"maxLength", schemas.MaxApplicationID},
		{"pattern", `^[^\u0000-\u001f\u007f-\u009f]*$`}, // no control characters
		{"description", "1 to 128 bytes of UTF-8, no control characters"},
	}
}

func instant(description string) object {
	return object{
		{"type", "string"}, {"format", "date-time"},
		{"pattern", `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$`},
		{"description", description + ": RFC 3339, UTC, up to microseconds"},
	}
}

func features() object {
	properties := object{}
	for _, r := range schemas.FeatureRules {
		properties = append(properties, member{r.Name, object{
			{"type", []string{"integer", "null"}}, {"minimum", r.Min}, {"maximum", r.Max}, {"description", r.Doc},
		}})
	}
	return record(properties)
}

func number(low, high int, description string) object {
	return object{{"type", "number"}, {"minimum", low}, {"maximum", high}, {"description", description}}
}

func integer(low, high int, description string) object {
	return object{{"type", "integer"}, {"minimum", low}, {"maximum", high}, {"description", description}}
}

func text(description string) object {
	return object{{"type", "string"}, {"minLength", 1}, {"description", description}}
}

func choice(description string, values ...string) object {
	return object{{"type", "string"}, {"enum", values}, {"description", description}}
}

func decision() object {
	return choice("what the policy says", schemas.Approve, schemas.Refer, schemas.Decline)
}

func policyVersion() object {
	return object{{"type", "string"}, {"pattern", "^[0-9a-f]{8}$"}, {"description", "first 8 hex digits of the SHA-256 of the policy's text"}}
}

func nullable(schema object) object {
	for i, m := range schema {
		if m.key == "type" {
			schema[i].value = []string{"object", "null"}
		}
	}
	return schema
}
