package schemas

// Header keys. Values are UTF-8 text; numbers are decimal.
const (
	HeaderSourceTopic     = "source-topic"
	HeaderSourcePartition = "source-partition"
	HeaderSourceOffset    = "source-offset"
	HeaderReplayedFrom    = "replayed-from" // topic/partition/offset, on replayed applications
	HeaderReplayOf        = "replay-of"     // partition/offset, on markers among the dead letters
	HeaderErrorClass      = "error-class"   // one of the ErrorClass constants
	HeaderErrorMessage    = "error-message" // field, value, rule; no other features
	HeaderFailedAt        = "failed-at"     // RFC 3339
	HeaderUngated         = "ungated"       // on model bundles: why one that has been through no gate may serve

	// On dead letters of which anything was cut: which parts, what the whole of each
	// was (sha256:<hex>), and how many bytes it had.
	HeaderValueTruncated   = "value-truncated" // "true"
	HeaderValueDigest      = "value-digest"
	HeaderValueBytes       = "value-bytes"
	HeaderKeyTruncated     = "key-truncated" // "true"
	HeaderKeyDigest        = "key-digest"
	HeaderKeyBytes         = "key-bytes"
	HeaderHeadersTruncated = "headers-truncated" // "true"
	HeaderHeadersDigest    = "headers-digest"
	HeaderHeadersBytes     = "headers-bytes"
)

// Error classes of dead letters.
const (
	ErrorClassDecode    = "decode"
	ErrorClassContract  = "contract"
	ErrorClassTooLarge  = "too-large"
	ErrorClassPermanent = "permanent"
)
