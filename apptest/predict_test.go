package apptest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// question is a body of POST /predict. Without an id the API makes one.
func question(id string, i int) string {
	named := ""
	if id != "" {
		named = fmt.Sprintf(`"application_id":%q,`, id)
	}
	return fmt.Sprintf(`{%s"features":{"limit_bal":%d,"sex":2,"education":2,"marriage":1,"age":34,`+
		`"pay_0":%d,"pay_2":0,"pay_3":-1,"pay_4":0,"pay_5":0,"pay_6":2,`+
		`"bill_amt1":48210,"bill_amt2":47102,"bill_amt3":46001,"bill_amt4":45230,"bill_amt5":44990,"bill_amt6":43120,`+
		`"pay_amt1":2000,"pay_amt2":1800,"pay_amt3":1700,"pay_amt4":1500,"pay_amt5":1600,"pay_amt6":1500}}`, named, 10_000+i, i%8)
}

// response is what came back; without one the status is 0.
type response struct {
	status   int
	replayed bool // an Idempotency-Key's first answer
	body     []byte
}

// post sends one request, with an Idempotency-Key unless that is empty.
func post(url, key, body string) response {
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return response{}
	}
	request.Header.Set("Content-Type", "application/json")
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	client := &http.Client{Timeout: 20 * time.Second}
	answer, err := client.Do(request)
	if err != nil {
		return response{}
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return response{}
	}
	return response{answer.StatusCode, answer.Header.Get("Idempotency-Replayed") == "true", text}
}

// predict is one request. Only a decision that was recorded is an answer.
func predict(url, id string, i int) (answer []byte, ok bool) {
	r := post(url, "", question(id, i))
	if r.status != http.StatusOK {
		return nil, false
	}
	return recorded(r.body), true
}

// recorded are the members of an answer that stand in the prediction as well.
func recorded(answer []byte) []byte {
	var members map[string]any
	if err := json.Unmarshal(answer, &members); err != nil {
		return answer
	}
	delete(members, "reasons") // with their texts
	out, err := json.Marshal(members)
	if err != nil {
		return answer
	}
	return out
}
