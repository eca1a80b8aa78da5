package api

import (
	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/schemas"
)

// driftPaths are the operations on drift.
func driftPaths() object {
	return object{
		"/drift": object{"get": object{
			"operationId": "drift", "tags": []string{"drift"}, "summary": "Every statistic of the last evaluation, and the state of every alert",
			"description": "Read from the drift status topic: the same whichever process evaluates.",
			"responses":   responses(jsonOf("The newest drift status", "DriftStatus"), 401, 403, 404, 429, 500, 503),
		}},
		"/drift/alerts": object{"get": object{
			"operationId": "driftAlerts", "tags": []string{"drift"}, "summary": "What fires, and what was resolved lately",
			"responses": responses(jsonOf("Alerts of the last evaluation", "DriftAlerts"), 401, 403, 429, 500, 503),
		}},
		"/drift/report": object{"get": object{
			"operationId": "driftReport", "tags": []string{"drift"}, "summary": "The same as a page to look at, keep or print",
			"responses": responses(plain("One page of HTML that loads nothing", "text/html"), 401, 403, 404, 429, 500, 503),
		}},
	}
}

// demoPaths are there in a demo only.
func demoPaths() object {
	return object{scenarioRoute: object{
		"get": object{
			"operationId": "scenario", "tags": []string{"demo"}, "summary": "What happens to the demo's population",
			"responses": responses(jsonOf("The scenario in force, and those there are", "Scenario"), 403, 429, 500, 503),
		},
		"post": object{
			"operationId": "setScenario", "tags": []string{"demo"}, "summary": "Let something else happen",
			"requestBody": object{"required": true, "content": object{"application/json": object{"schema": object{
				"type": "object", "required": []string{"scenario"}, "additionalProperties": false, "properties": object{"scenario": object{"type": "string"}},
			}}}},
			"responses": responses(jsonOf("The scenario that begins", "Scenario"), 400, 403, 408, 413, 415, 422, 429, 500, 503),
		},
	}}
}

// driftComponents are the documents of drift.
func driftComponents() object {
	time := object{"type": "string", "format": "date-time"}
	whole := object{"type": "integer", "minimum": 0}
	number := object{"type": "number"}
	share := object{"type": "number", "minimum": 0, "maximum": 1}
	name := object{"type": "string"}
	state := object{"type": "string", "enum": []string{drift.Quiet, drift.Watch, drift.Act}}
	stale := described("The evaluation is so long ago, more than 30 s, that no evaluator works: it may not hold any more, and no alert can come.", object{"type": "boolean"})
	counts := object{"type": []string{"array", "null"}, "items": whole}
	some := func(schema string) object { return object{"type": []string{"array", "null"}, "items": ref(schema)} }
	// What evaluators of later versions add is not refused by who reads by this.
	alert := object{
		"alert": text("drift/limit_bal, drift/score, performance/VERSION, fairness/ATTRIBUTE/GROUP, no-decisions (nothing was counted) …"),
		"state": object{"type": "string", "enum": []string{schemas.AlertFiring, schemas.AlertResolved}},
		"since": described("When it came into this state.", time), "evaluated_at": time, "statistic": name, "value": number, "threshold": number,
		"window":       record("", object{"name": name, "from": time, "to": time, "decisions": whole}),
		"contributors": object{"type": []string{"array", "null"}, "items": record("", object{"feature": name, "psi": number})},
		"reference":    text("digest of the reference"), "model_versions": object{"type": []string{"array", "null"}, "items": name}, "runbook": name,
		"now": object{"anyOf": []any{object{"type": "null"}, record("What the newest look says of an alert that fires; all else is of when it came into its state.", object{
			"evaluated_at": time, "statistic": name, "value": number, "threshold": number,
		})}},
	}
	distribution := record("A distribution against the reference's.", object{
		"feature": name, "state": state, "evidence": described("The statistic that decides; 0 of a difference whose PSI is below 0.02.", number), "threshold": described("At which it says act: more for a smaller PSI.", number),
		"evidence_psi": described("PSI of the decisions that evidence is of.", number), "evidence_of": described("How many decisions those are.", whole),
		"psi": described("That decides, of this window: rare bins are one, less what chance adds.", number), "psi_all_bins": described("As it is commonly computed: over every bin, chance included.", number), "jensen_shannon": number, "ks": number, "wasserstein": described("In standard deviations of the reference.", number),
		"chi_square": number, "chi_square_p": share, "missing": share, "out_of_range": share, "reference": counts, "current": counts,
	})
	performance := record("Of loans that were granted.", object{
		"model_version": name, "loans": whole, "defaulted": whole, "auc": number, "auc_standard_error": number, "gini": number, "ks": number, "brier": number,
		"log_loss": number, "ece": number, "observed": share, "expected": share, "lower": share, "upper": share, "state": state,
		"bands": object{"type": []string{"array", "null"}, "items": record("", object{
			"from": described("Log-odds.", number), "to": number, "loans": whole, "defaulted": whole, "observed": share, "expected": share, "lower": share, "upper": share,
		})},
	})
	return object{
		"DriftStatus": record("", object{
			"stale":        stale,
			"evaluated_at": time, "state": state, "reference": record("", object{"digest": name, "model_version": name, "rows": whole,
				"unwatched": object{"type": []string{"array", "null"}, "items": record("A feature whose values may change without a bin showing it.", object{"feature": name, "why": name})},
			}, "unwatched"),
			"model_versions": object{"type": []string{"array", "null"}, "items": name}, "last_decision": time, "decisions": whole,
			"windows": some("DriftWindow"), "alerts": some("DriftAlert"),
			"outcomes": record("", object{"read": whole, "matched": whole, "unmatched": whole, "duplicate": whole, "late": described("Of those matched: told long after they were observed.", whole), "declined": described("Of those matched: of an application that was declined, so of no loan that was granted; in no figure of the versions.", whole), "outcome_too_old": described("Of those unmatched: of a decision before the last 8 on its application.", whole), "outcome_before_decision": described("Of those unmatched: observed before every decision on its application.", whole), "outcome_key_differs": described("Of those read: the record's key is not the application_id, which is what joins.", whole), "versions": some("DriftPerformance")}),
		}),
		"DriftWindow": record("", object{
			"name": text("1000, 10000, 1h, 24h …"), "from": time, "to": time, "decisions": whole, "state": state,
			"features": some("DriftDistribution"), "score": ref("DriftDistribution"),
			"rates": record("", object{"approve": share, "refer": share, "decline": share, "default_expected": share, "state": state, "evidence": number, "threshold": number, "evidence_psi": number, "evidence_of": whole,
				"psi": number, "psi_all_bins": number, "jensen_shannon": number, "chi_square": number, "chi_square_p": share, "reference": described("approve, refer, decline as the policy would have decided on the reference's scores.", counts),
			}),
			"expected": object{"type": []string{"array", "null"}, "items": record("An estimate from the scores alone, of everybody decided on.", object{
				"model_version": name, "decisions": whole, "default_rate": share, "auc": number, "gini": number, "brier": number, "log_loss": number,
			})},
			"groups": object{"type": []string{"array", "null"}, "items": record("", object{
				"attribute": name, "group": name, "decisions": whole, "approved": share, "ratio": number, "lower": number, "upper": number, "state": state,
				"limit": described("That ratio is held against.", number), "judged": described("Whether the group is large enough for it.", object{"type": "boolean"}),
			})},
		}),
		"DriftDistribution": distribution, "DriftPerformance": performance,
		"DriftAlert": record("As on the alerts topic, and what the newest look says.", alert, "now"),
		"DriftAlerts": record("", object{
			"evaluated_at": described("null: nothing has been evaluated yet.", object{"type": []string{"string", "null"}, "format": "date-time"}),
			"age_seconds":  described("Of the evaluation; 0 while there is none.", whole),
			"stale":        stale,
			"state":        object{"type": "string", "enum": []string{drift.Quiet, drift.Watch, drift.Act, "none", "unknown"}, "description": "none: nothing has been evaluated yet; unknown: that cannot be read now"},
			"alerts":       list(ref("DriftAlert")),
			"watched":      list(text("name of an alert that does not fire and is worth a look")),
			"outcomes": list(record("How often the loans that a version granted were not paid back, as far as that is known.", object{
				"model_version": name, "loans": whole, "observed": share, "lower": described("Of observed's 95 % interval.", share), "upper": described("Of observed's 95 % interval.", share),
				"expected": described("By the loans' scores.", share),
			})),
		}),
	}
}

func demoComponents() object {
	name := object{"type": "string"}
	return object{"Scenario": record("", object{"scenario": name, "scenarios": list(name)})}
}
