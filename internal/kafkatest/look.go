package kafkatest

import "github.com/twmb/franz-go/pkg/kmsg"

// IsLook says whether a request is the fetch of a look at the log (kafka.Look), which
// waits for less than a client that reads.
func IsLook(request kmsg.Request) bool {
	fetch, ok := request.(*kmsg.FetchRequest)
	return ok && fetch.MaxWaitMillis == 500
}
