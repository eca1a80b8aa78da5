package main

import (
	"bytes"
	"encoding/json"

	"go.yaml.in/yaml/v3"

	"github.com/creditstream/creditstream/schemas"
)

// asyncAPI is the topics and their messages as AsyncAPI 3.0, with the default
// prefix.
func asyncAPI() ([]byte, error) {
	names := schemas.NewTopics("credit")
	channels := []struct {
		id, topic string
		payload   object // a JSON Schema, or in words
		content   string // media type
		action    string // what this system does with it
		doc       string
		headers   object
	}{
		{"applications", names.Applications, schema("application"), jsonText, "receive", "Applications to be scored.", object{
			{schemas.HeaderReplayedFrom, headerText("topic/partition/offset of the dead letter, on replayed applications")},
		}},
		{"predictions", names.Predictions, schema("prediction"), jsonText, "send", "Every decision. Read it with isolation.level=read_committed.", sourceHeaders()},
		{"deadLetters", names.DLQ, object{{"description", "the bytes as received"}}, "application/octet-stream", "send", "Records that could not be scored: key, value and headers as received, and why.", append(object{
			{schemas.HeaderErrorClass, choice("why", schemas.ErrorClassDecode, schemas.ErrorClassContract, schemas.ErrorClassTooLarge, schemas.ErrorClassPermanent)},
			{schemas.HeaderErrorMessage, headerText("field, value and rule")},
			{schemas.HeaderFailedAt, headerText("when, RFC 3339")},
			{schemas.HeaderValueDigest, headerText("sha256:<hex> of the whole value, when anything was cut")},
			{schemas.HeaderValueBytes, headerText("how many bytes the whole value had, when anything was cut")},
			{schemas.HeaderValueTruncated, headerText("true, when the value was cut to its beginning, at most 64 KiB")},
			{schemas.HeaderKeyDigest, headerText("sha256:<hex> of the whole key, when it was cut")},
			{schemas.HeaderKeyBytes, headerText("how many bytes the whole key had, when it was cut")},
			{schemas.HeaderKeyTruncated, headerText("true, when the key was cut to its beginning, at most 1 KiB")},
			{schemas.HeaderHeadersDigest, headerText("sha256:<hex> of all headers received, when some were left out: of each, the length of its key (four bytes, big-endian), the key, and the same of its value")},
			{schemas.HeaderHeadersBytes, headerText("how many bytes the keys and values of all headers received had, when some were left out")},
			{schemas.HeaderHeadersTruncated, headerText("true, when headers that do not fit into 16 KiB were left out")},
			{schemas.HeaderReplayOf, headerText("partition/offset, on the marker of a replay")},
		}, sourceHeaders()...)},
		{"outcomes", names.Outcomes, schema("outcome"), jsonText, "receive", "What became of a loan, known later.", nil},
		{"alerts", names.DriftAlerts, schema("alert"), jsonText, "send", "Alerts that began to fire or were resolved, keyed by the alert's name. Read it with isolation.level=read_committed.", nil},
		{"models", names.Models, object{{"description", "a model bundle, whole: a zip archive of manifest.json, model.onnx, reference.json, golden.json and card.md"}}, "application/zip", "receive",
			"Model bundles, keyed by version; other bytes under a version that is there are refused.", object{
				{schemas.HeaderUngated, headerText("why it may serve though it has been through no gate, where somebody said so")},
			}},
		{"routes", names.Routes, schema("route"), jsonText, "receive", "Which versions serve, and under which policy; revision = offset. Read it with isolation.level=read_committed.", nil},
		{"replicas", names.Replicas, schema("replica"), jsonText, "send", "What every running component says of itself, once a second, keyed by component/instance. One that has said nothing for ten seconds is gone; one that stopped by itself leaves a record without a value.", object{
			{schemas.HeaderStarted, headerText("on the record of a stop: when the process that stopped was started, RFC 3339")},
		}},
	}
	channelDocs, operations, messages := object{}, object{}, object{}
	for _, c := range channels {
		message := object{{"name", c.id}, {"contentType", c.content}, {"payload", c.payload}}
		if len(c.headers) > 0 {
			message = append(message, member{"headers", object{{"type", "object"}, {"properties", c.headers}}})
		}
		messages = append(messages, member{c.id, message})
		channelDocs = append(channelDocs, member{c.id, object{
			{"address", c.topic}, {"description", c.doc},
			{"messages", object{{c.id, object{{"$ref", "#/components/messages/" + c.id}}}}},
		}})
		operations = append(operations, member{c.action + "_" + c.id, object{
			{"action", c.action}, {"channel", object{{"$ref", "#/channels/" + c.id}}},
		}})
	}
	doc := object{
		{"asyncapi", "3.0.0"},
		{"info", object{
			{"title", "creditstream"}, {"version", "1.0.0"},
			{"description", "Event-driven credit scoring. Addresses carry the default prefix, credit. Applications, predictions and outcomes are JSON, or, where a schema registry is in use, Avro (avro/*.avsc) in Confluent's wire format; the first byte tells which."},
		}},
		{"channels", channelDocs}, {"operations", operations},
		{"components", object{{"messages", messages}}},
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	// Decoded as YAML (of which JSON is a part) the members keep their order.
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return nil, err
	}
	block(&node)
	var b bytes.Buffer
	b.WriteString("# Generated by go generate ./schemas; do not edit.\n")
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(&node); err != nil {
		return nil, err
	}
	return b.Bytes(), e.Close()
}

// block turns JSON's flow style into YAML's block style.
func block(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		block(c)
	}
}

const jsonText = "application/json"

// schema is the payload that a generated JSON Schema describes.
func schema(name string) object {
	return object{
		{"schemaFormat", "application/schema+json;version=draft-2020-12"},
		{"schema", object{{"$ref", "jsonschema/" + name + ".json"}}},
	}
}

func headerText(doc string) object {
	return object{{"type", "string"}, {"description", doc}}
}

func sourceHeaders() object {
	return object{
		{schemas.HeaderSourceTopic, headerText("topic of the application, on what the stream wrote")},
		{schemas.HeaderSourcePartition, headerText("its partition")},
		{schemas.HeaderSourceOffset, headerText("its offset")},
	}
}
