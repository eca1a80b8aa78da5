package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/creditstream/creditstream/schemas"
)

// object is a JSON object of the OpenAPI document.
type object = map[string]any

func ref(schema string) object { return object{"$ref": "#/components/schemas/" + schema} }

func described(description string, more object) object {
	o := object{"description": description}
	maps.Copy(o, more)
	return o
}

func text(description string) object { return object{"type": "string", "description": description} }

func list(items object) object { return object{"type": "array", "items": items} }

// record is an object schema with the properties, all of them required but the
// optional ones.
func record(description string, properties object, optional ...string) object {
	required := []string{}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if !slices.Contains(optional, name) {
			required = append(required, name)
		}
	}
	o := object{"type": "object", "properties": properties, "required": required}
	if description != "" {
		o["description"] = description
	}
	return o
}

// openAPI is the OpenAPI 3.1 document. What the contract says of a prediction and
// its features comes from the contract's own schema.
// demo says whether there is one to describe.
func openAPI(version string, demo bool) ([]byte, error) {
	var prediction struct {
		Required   []string       `json:"required"`
		Properties map[string]any `json:"properties"`
	}
	if err := json.Unmarshal(schemas.PredictionJSONSchema, &prediction); err != nil {
		return nil, fmt.Errorf("OpenAPI: the prediction's schema: %w", err)
	}
	features, ok := prediction.Properties["features"].(object)
	if !ok {
		return nil, errors.New("OpenAPI: the prediction's schema has no features")
	}
	all, documents := paths(), components(features, object{"type": "object", "required": prediction.Required, "properties": prediction.Properties})
	tags := []object{{"name": "predict"}, {"name": "decisions"}, {"name": "drift"}, {"name": "model"}, {"name": "operations"}}
	add := func(more, described object) {
		maps.Copy(all, more)
		maps.Copy(documents, described)
	}
	add(driftPaths(), driftComponents())
	if demo {
		add(demoPaths(), demoComponents())
		tags = append(tags, object{"name": "demo"})
	}
	originIsLookedAt(all)
	document := object{
		"openapi": "3.1.0",
		"info": object{
			"title":       "creditstream",
			"version":     version,
			"description": "Scores credit applications with reasons. Every decision is on the predictions topic before it is answered.",
			"license":     object{"name": "MIT", "identifier": "MIT"},
		},
		"servers":  []object{{"url": "./"}},
		"tags":     tags,
		"security": []object{{"bearer": []string{}}, {"header": []string{}}, {}},
		"paths":    all,
		"components": object{
			"securitySchemes": object{
				"bearer": object{"type": "http", "scheme": "bearer", "description": "Needed where the server has a file of keys."},
				"header": object{"type": "apiKey", "in": "header", "name": "X-API-Key"},
			},
			"schemas":   documents,
			"responses": problemResponses(),
			"headers": object{
				"Retry-After": object{"description": "Seconds until another try is worth while.", "schema": object{"type": "integer", "minimum": 1}},
			},
		},
	}
	return json.Marshal(document)
}

// problemStatuses are the problems there are, by status, and when they are met.
var problemStatuses = map[int]string{
	400: "Not one JSON object, or a header or query that cannot be read",
	401: "A key is needed and there is none",
	403: "The key is not known, another site's page asks, or a proxy forwards the request that is not trusted and no key is asked for",
	404: "Not known",
	408: "The body came in too slowly",
	409: "The request with this Idempotency-Key is in progress",
	410: "The decision was recorded by an attempt before this one and is no longer in the log",
	413: "The body is too large",
	415: "The body is said to be something else than JSON",
	421: "No key is asked for here, and the Host header is no name of this machine: localhost or a loopback address",
	422: "Rules are broken; `errors` lists them all",
	429: "Too many requests of this caller, a second or at once",
	500: "Something went wrong in the server",
	503: "Not possible now. Where `recorded` is `unknown`, the decision may be in the log",
}

func problemResponses() object {
	o := object{}
	for status, description := range problemStatuses {
		r := object{"description": description, "content": object{"application/problem+json": object{"schema": ref("Problem")}}}
		switch status {
		case 404, 408, 409, 429, 503:
			r["headers"] = object{"Retry-After": object{"$ref": "#/components/headers/Retry-After"}}
		}
		o["Problem"+strconv.Itoa(status)] = r
	}
	return o
}

// responses are a success and the problems an operation may answer with.
func responses(success object, statuses ...int) object {
	o := problems(statuses...)
	o["200"] = success
	return o
}

func problems(statuses ...int) object {
	o := object{}
	for _, status := range statuses {
		o[strconv.Itoa(status)] = object{"$ref": "#/components/responses/Problem" + strconv.Itoa(status)}
	}
	return o
}

func jsonOf(description, schema string) object {
	return object{"description": description, "content": object{"application/json": object{"schema": ref(schema)}}}
}

func jsonBody(schema string, example any) object {
	return object{"required": true, "content": object{"application/json": object{"schema": ref(schema), "example": example}}}
}

func plain(description, contentType string) object {
	return object{"description": description, "content": object{contentType: object{"schema": object{"type": "string"}}}}
}

func paths() object {
	idempotencyKey := object{
		"name": "Idempotency-Key", "in": "header", "schema": object{"type": "string", "minLength": 1, "maxLength": maxIdempotencyKey, "pattern": "^[!-~]+$"},
		"description": "Makes a retry safe: for 10 minutes the same request with the same key gets what was recorded as it was, and the rest decided. Without one the API is at least once.",
	}
	open := []object{} // no key is asked for
	predicted := func(schema string) object {
		o := jsonOf("Decided and recorded", schema)
		o["headers"] = object{"Idempotency-Replayed": object{"description": "true: this is the answer that was given before.", "schema": object{"type": "string", "const": "true"}}}
		return o
	}
	example := exampleFeatures()
	return object{
		"/predict": object{"post": object{
			"operationId": "predict", "tags": []string{"predict"}, "summary": "Decide one application",
			"parameters": []object{idempotencyKey, {
				"name": "detail", "in": "query", "schema": object{"type": "string", "enum": []string{detailContributions}},
				"description": "Adds what every input of the model moved the decision by, and the base they start from.",
			}},
			"requestBody": jsonBody("PredictRequest", object{"features": example}),
			"responses":   responses(predicted("Answer"), 400, 401, 403, 408, 409, 410, 413, 415, 422, 429, 500, 503),
		}},
		"/predict/batch": object{"post": object{
			"operationId": "predictBatch", "tags": []string{"predict"}, "summary": "Decide up to 1,000 applications",
			"description": "All are decided by the same models and published together. One that is wrong fails alone, in its place.",
			"parameters":  []object{idempotencyKey},
			"requestBody": jsonBody("BatchRequest", object{"applications": []object{{"features": example}}}),
			"responses":   responses(predicted("BatchAnswer"), 400, 401, 403, 408, 409, 410, 413, 415, 422, 429, 500, 503),
		}},
		"/predictions/{id}": object{"get": object{
			"operationId": "prediction", "tags": []string{"predict"}, "summary": "Look a decision up",
			"parameters": []object{{"name": "id", "in": "path", "required": true, "description": "application_id", "schema": object{"type": "string", "minLength": 1, "maxLength": schemas.MaxApplicationID}}},
			"responses":  responses(jsonOf("The application's last prediction", "Prediction"), 400, 401, 403, 404, 422, 429, 500, 503),
		}},
		"/decisions": object{"get": object{
			"operationId": "decisions", "tags": []string{"decisions"}, "summary": "Recent decisions and totals",
			"responses": responses(jsonOf("A sample of what was decided last, newest first", "Decisions"), 401, 403, 429, 500, 503),
		}},
		streamRoute: object{"get": object{
			"operationId": "decisionStream", "tags": []string{"decisions"}, "summary": "Follow decisions as server-sent events",
			"description": "First an event `snapshot`, then `update`s with what was not sent before; the data of both is a `Decisions` document. Of a fast stream the newest are sent; when it slows down, those of the last 50 that were left out follow.",
			"responses":   responses(plain("Events", "text/event-stream"), 401, 403, 429, 500, 503),
		}},
		"/model": object{"get": object{
			"operationId": "model", "tags": []string{"model"}, "summary": "What serves: model, policy, reason groups",
			"responses": responses(jsonOf("The live set", "Model"), 401, 403, 429, 500, 503),
		}},
		"/replicas": object{"get": object{
			"operationId": "replicas", "tags": []string{"operations"}, "summary": "What every running component is doing",
			"description": "From the replicas topic: whoever appended within ten seconds is live. One that ended without a word stays in the list for a day, with `live` false and its last words.",
			"responses":   responses(jsonOf("All of them", "Replicas"), 401, 403, 429, 500, 503),
		}},
		"/healthz": object{"get": object{
			"operationId": "healthz", "tags": []string{"operations"}, "summary": "Whether the process runs", "security": open,
			"responses": object{"200": plain("It does", "text/plain")},
		}},
		"/readyz": object{"get": object{
			"operationId": "readyz", "tags": []string{"operations"}, "summary": "Whether decisions can be made", "security": open,
			"description": "Ready means model and log. What is waited for all the same stands below, a line each: `redis` while look-ups and idempotency keys are refused, `models` while a new route waits for its bundles.",
			"responses":   object{"200": plain("They can", "text/plain"), "503": plain("What is missing, a line each", "text/plain")},
		}},
		"/metrics": object{"get": object{
			"operationId": "metrics", "tags": []string{"operations"}, "summary": "Metrics for Prometheus", "security": open,
			"responses": object{"200": plain("Metrics", "text/plain")},
		}},
		"/openapi.json": object{"get": object{
			"operationId": "openapi", "tags": []string{"operations"}, "summary": "This document", "security": open,
			"responses": object{"200": object{"description": "OpenAPI 3.1", "content": object{"application/json": object{"schema": object{"type": "object"}}}}},
		}},
	}
}

// originIsLookedAt adds to every operation what is looked at before anything else:
// the Host, and whether a proxy forwards the request.
func originIsLookedAt(paths object) {
	for _, path := range paths {
		for _, operation := range path.(object) {
			maps.Copy(operation.(object)["responses"].(object), problems(403, 421))
		}
	}
}

func components(features, prediction object) object {
	id := object{"type": []string{"string", "null"}, "minLength": 1, "maxLength": schemas.MaxApplicationID, "description": "made when absent or null"}
	applied := object{"type": []string{"string", "null"}, "format": "date-time", "description": "RFC 3339, UTC, up to microseconds; now when absent or null"}
	bare := maps.Clone(features)
	bareProperties := maps.Clone(features["properties"].(object))
	bareProperties["application_id"], bareProperties["applied_at"] = id, applied
	bare["properties"] = bareProperties
	bare["not"] = object{"required": []string{"features"}}
	contribution := object{"type": "number", "description": "log-odds"}
	reason := record("", object{
		"code": text("reason group"), "text": text("what it means, for the applicant"),
		"contribution": object{"type": "number", "exclusiveMinimum": 0, "description": "log-odds towards default, summed over the group"},
	})
	counts := func(names ...string) object {
		o := object{}
		for _, n := range names {
			o[n] = object{"type": "integer", "minimum": 0}
		}
		return record("", o)
	}
	decision := object{"type": "string", "enum": []string{schemas.Approve, schemas.Refer, schemas.Decline}}
	probability := object{"type": "number", "minimum": 0, "maximum": 1}
	decided := object{"type": "string", "format": "date-time"}
	other := func(description string) object {
		return described(description, object{"type": []string{"object", "null"}, "required": []string{"model_version", "digest", "engine"}, "properties": object{
			"model_version": object{"type": "string"}, "digest": object{"type": "string"}, "engine": object{"type": "string"}, "share": probability,
		}})
	}
	return object{
		"Features":   described("What an applicant hands in: whole numbers, null where missing.", features),
		"Prediction": described("A prediction as it is on the topic.", prediction),
		"PredictRequest": object{
			"description": "The features within an object, or alone. Unknown keys are ignored; a key that stands twice is an error.",
			"oneOf": []object{
				record("", object{"application_id": id, "applied_at": applied, "features": ref("Features")}, "application_id", "applied_at"),
				bare,
			},
		},
		"BatchRequest": record("", object{"applications": described("Each is a PredictRequest; one that is not fails alone.", object{"type": "array", "maxItems": maxBatch, "items": object{}})}),
		"Answer": record("", object{
			"application_id": object{"type": "string"}, "default_prediction": object{"type": "integer", "enum": []int{0, 1}}, "default_probability": probability,
			"decision": decision, "points": object{"type": "integer"}, "reasons": described("Towards default only, largest first.", object{"type": "array", "maxItems": schemas.MaxReasons, "items": ref("Reason")}),
			"model_version": object{"type": "string"}, "route": object{"type": "string", "enum": []string{schemas.RouteChampion, schemas.RouteCanary}},
			"policy_version": object{"type": "string", "pattern": "^[0-9a-f]{8}$"}, "decided_at": decided,
			"base":          described("With detail=contributions: log-odds before any contribution.", object{"type": "number"}),
			"contributions": described("With detail=contributions: of every input of the model. Base and contributions sum to the log-odds of default.", list(ref("Contribution"))),
		}, "base", "contributions"),
		"Reason":       reason,
		"Contribution": record("", object{"input": object{"type": "string"}, "group": text("reason group"), "contribution": contribution}),
		"BatchAnswer":  record("", object{"predictions": described("In the order of the applications.", list(object{"oneOf": []object{ref("Answer"), ref("BatchProblem")}}))}),
		"BatchProblem": record("", object{"index": object{"type": "integer", "minimum": 0}, "problem": ref("Problem")}),
		"Problem": record("RFC 9457.", object{
			"type": object{"type": "string", "format": "uri", "description": "names the problem for programs"}, "title": object{"type": "string"},
			"status": object{"type": "integer"}, "detail": object{"type": "string"}, "errors": list(ref("Violation")),
			"application_id": object{"type": "string"}, "recorded": described("unknown: the decision may be in the log, or get there still.", object{"type": "string", "const": "unknown"}),
		}, "detail", "errors", "application_id", "recorded"),
		"Violation": record("", object{"field": text("where in the request"), "value": text("as received, shortened; empty where nothing was"), "rule": text("what was expected")}),
		"Decisions": record("", object{
			"since": described("Since when is counted.", decided), "total": object{"type": "integer", "minimum": 0},
			"by_decision": counts(schemas.Approve, schemas.Refer, schemas.Decline), "by_channel": counts(schemas.ChannelStream, schemas.ChannelAPI),
			"per_second": object{"type": "number", "minimum": 0}, "decisions": object{"type": "array", "maxItems": maxDecisions, "items": ref("Summary")},
		}),
		"Summary": record("A decision without its features.", object{
			"application_id": object{"type": "string"}, "decided_at": decided, "channel": object{"type": "string", "enum": []string{schemas.ChannelStream, schemas.ChannelAPI}},
			"decision": decision, "default_probability": probability, "points": object{"type": "integer"}, "reasons": list(ref("Reason")), "model_version": object{"type": "string"},
		}),
		"Model": record("", object{
			"model_version": object{"type": "string"}, "digest": text("sha256:HEX of the bundle"), "engine": object{"type": "string"}, "algorithm": object{"type": "string"},
			"created_at": decided, "inputs": list(object{"type": "string"}), "used_inputs": list(text("an input that the decision depends on")),
			"reason_groups": list(record("", object{"code": object{"type": "string"}, "text": object{"type": "string"}})),
			"base":          described("Log-odds before any contribution.", object{"type": "number"}),
			"metrics":       described("On the hold-out.", object{"type": []string{"object", "null"}}),
			"policy": record("", object{
				"policy_version": object{"type": "string"}, "threshold": probability, "approve_below": probability, "decline_from": probability, "max_missing": object{"type": "integer"},
				"points": record("", object{"base": object{"type": "number"}, "base_odds": object{"type": "number"}, "pdo": object{"type": "number"}}),
			}),
			"route_revision": described("Offset of the route record, -1 where none serves.", object{"type": "integer", "minimum": -1}),
			"canary":         other("Decides its share of the applications."), "shadow": other("Runs beside and decides nothing."),
		}),
		"Replicas": record("", object{"replicas": list(ref("Replica"))}),
		"Replica":  replicaSchema(),
	}
}

// replicaSchema is replica.Summary.
func replicaSchema() object {
	number := func(description string) object {
		return object{"type": "integer", "minimum": 0, "description": description}
	}
	latency := func(description string) object {
		return object{"type": []string{"number", "null"}, "minimum": 0, "description": description}
	}
	revision := func(description string) object {
		return object{"type": "integer", "minimum": -1, "description": description}
	}
	models := record("What it serves; null where it serves no model.", object{
		"route_revision": revision("in force, -1 where none is"), "newest_revision": revision("newest it has read, -1 where it has read none"),
		"champion": text("empty while nothing serves"), "canary": text("empty without one"), "shadow": text("empty without one"),
		"pending": text("why the newest route is not in force; empty when it is"),
		"refused": list(record("A bundle that a route named and that cannot serve.", object{"model_version": object{"type": "string"}, "reason": object{"type": "string"}})),
	})
	models["type"] = []string{"object", "null"}
	return record("", object{
		"component": text("score, api, view, produce or drift"), "instance": object{"type": "string"}, "host": object{"type": "string"},
		"version": text("of the program"), "started": object{"type": "string", "format": "date-time"},
		"seen": described("When its last report was appended.", object{"type": "string", "format": "date-time"}), "age_seconds": object{"type": "number", "minimum": 0},
		"live": described("Heard of within ten seconds.", object{"type": "boolean"}), "ready": object{"type": "boolean"},
		"reason": text("why it is not ready, or how it ended"), "pending": text("what it waits for though it is ready"), "models": models,
		"records": number("since it was started"), "per_second": object{"type": "number", "minimum": 0},
		"decisions":    record("", object{schemas.Approve: number(""), schemas.Refer: number(""), schemas.Decline: number("")}),
		"dead_letters": number("since it was started"), "errors": number("what had to be done again, or was given up"),
		"p50_ms": latency("median of the last seconds; null where nothing was timed"), "p99_ms": latency("99th percentile of the last seconds"),
		"lag": object{"type": []string{"integer", "null"}, "minimum": 0, "description": "offsets of all its partitions not done yet; null where it has none"},
	})
}
