package schemas

import "strconv"

// AppendAnswer appends the answer of POST /predict: the prediction without what
// the caller sent, each reason with its text.
func AppendAnswer(dst []byte, p *Prediction, reasonText func(code string) string) []byte {
	dst = append(dst, `{"application_id":`...)
	dst = appendString(dst, p.ApplicationID)
	dst = append(dst, `,"default_prediction":`...)
	dst = strconv.AppendUint(dst, uint64(p.DefaultPrediction), 10)
	dst = append(dst, `,"default_probability":`...)
	dst = appendFloat(dst, p.DefaultProbability)
	dst = append(dst, `,"decision":`...)
	dst = appendString(dst, p.Decision)
	dst = append(dst, `,"points":`...)
	dst = strconv.AppendInt(dst, int64(p.Points), 10)
	dst = append(dst, `,"reasons":`...)
	dst = appendReasons(dst, p.Reasons, reasonText)
	dst = append(dst, `,"model_version":`...)
	dst = appendString(dst, p.ModelVersion)
	dst = append(dst, `,"route":`...)
	dst = appendString(dst, p.Route)
	dst = append(dst, `,"policy_version":`...)
	dst = appendString(dst, p.PolicyVersion)
	dst = append(dst, `,"decided_at":`...)
	dst = appendTimestamp(dst, p.DecidedAt)
	return append(dst, '}')
}

// AppendSummary appends a decision as a list shows it: no features, and only
// what identifies and explains it.
func AppendSummary(dst []byte, p *Prediction, reasonText func(code string) string) []byte {
	dst = append(dst, `{"application_id":`...)
	dst = appendString(dst, p.ApplicationID)
	dst = append(dst, `,"decided_at":`...)
	dst = appendTimestamp(dst, p.DecidedAt)
	dst = append(dst, `,"channel":`...)
	dst = appendString(dst, p.Channel)
	dst = append(dst, `,"decision":`...)
	dst = appendString(dst, p.Decision)
	dst = append(dst, `,"default_probability":`...)
	dst = appendFloat(dst, p.DefaultProbability)
	dst = append(dst, `,"points":`...)
	dst = strconv.AppendInt(dst, int64(p.Points), 10)
	dst = append(dst, `,"reasons":`...)
	dst = appendReasons(dst, p.Reasons, reasonText)
	dst = append(dst, `,"model_version":`...)
	dst = appendString(dst, p.ModelVersion)
	return append(dst, '}')
}

func appendReasons(dst []byte, reasons []Reason, text func(code string) string) []byte {
	dst = append(dst, '[')
	for i := range reasons {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"code":`...)
		dst = appendString(dst, reasons[i].Code)
		dst = append(dst, `,"text":`...)
		dst = appendString(dst, text(reasons[i].Code))
		dst = append(dst, `,"contribution":`...)
		dst = appendFloat(dst, reasons[i].Contribution)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}
