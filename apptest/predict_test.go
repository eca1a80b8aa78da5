package apptest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// predict is one request. Only a decision that was recorded is an answer.
func predict(url, id string, i int) (answer []byte, ok bool) {
	body := fmt.Appendf(nil, `{"application_id":%q,"features":{"limit_bal":%d,"sex":2,"education":2,"marriage":1,"age":34,`+
		`"pay_0":%d,"pay_2":0,"pay_3":-1,"pay_4":0,"pay_5":0,"pay_6":2,`+
		`"bill_amt1":48210,"bill_amt2":47102,"bill_amt3":46001,"bill_amt4":45230,"bill_amt5":44990,"bill_amt6":43120,`+
		`"pay_amt1":2000,"pay_amt2":1800,"pay_amt3":1700,"pay_amt4":1500,"pay_amt5":1600,"pay_amt6":1500}}`, id, 10_000+i, i%8)
	client := &http.Client{Timeout: 20 * time.Second}
	response, err := client.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, false
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return nil, false
	}
	return recorded(text), true
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
