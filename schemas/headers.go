package schemas

// Header keys. Values are UTF-8 text; numbers are decimal.
const (
	HeaderSourceTopic     = "source-topic"
	HeaderSourcePartition = "source-partition"
	HeaderSourceOffset    = "source-offset"
	HeaderReplayedFrom    = "replayed-from"   // topic/partition/offset, on replayed applications
	HeaderReplayOf        = "replay-of"       // partition/offset, on markers among the dead letters
	HeaderErrorClass      = "error-class"     // one of the ErrorClass constants
	HeaderErrorMessage    = "error-message"   // field, value, rule; no other features
	HeaderFailedAt        = "failed-at"       // RFC 3339
	HeaderValueDigest     = "value-digest"    // sha256:<hex> of the whole value, when it was cut
	HeaderUngated         = "ungated"         // on model bundles: why one that has been through no gate may serve
	HeaderValueTruncated  = "value-truncated" // "true", when it was cut
)

// Error classes of dead letters.
const (
	ErrorClassDecode    = "decode"
	ErrorClassContract  = "contract"
	ErrorClassTooLarge  = "too-large"
	ErrorClassPermanent = "permanent"
)
