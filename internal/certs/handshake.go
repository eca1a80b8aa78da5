package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
)

// HandshakeError is a server that was reached and with which no TLS session came
// about.
type HandshakeError struct {
	files Files
	err   error
}

func (e *HandshakeError) Error() string { return "TLS: " + e.why() }

// Unwrap hides an EOF: whoever looks for one takes it for the end of a session.
func (e *HandshakeError) Unwrap() error {
	if errors.Is(e.err, io.EOF) {
		return nil
	}
	return e.err
}

// why says what to look at.
func (e *HandshakeError) why() string {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](e.err); ok && invalid.Reason == x509.Expired {
		return fmt.Sprintf("the server's certificate has expired or is not valid yet, or the clock here is wrong: %v", invalid)
	}
	if name, ok := errors.AsType[x509.HostnameError](e.err); ok {
		look := "reach it by a name that the certificate holds"
		if e.files.URL == "" {
			look += ", or set " + e.files.Flags + "-server-name"
		}
		return fmt.Sprintf("the server's certificate is for another name: %s: %v", look, name)
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](e.err); ok {
		return fmt.Sprintf("the server's certificate is signed by an authority that is not trusted here: set %s-ca to a file with its certificate: %v", e.files.Flags, unknown)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](e.err); ok || errors.Is(e.err, io.EOF) || errors.Is(e.err, syscall.ECONNRESET) {
		look := "look at the port of " + e.files.URL
		if e.files.URL == "" {
			look = "look at the port, or leave " + tlsFlag(e.files.Flags) + " out"
		}
		return fmt.Sprintf("the server does not speak TLS at this port, or closed the connection: %s: %v", look, e.err)
	}
	if errors.Is(e.err, context.DeadlineExceeded) {
		return fmt.Sprintf("no answer to the handshake within %s: does this port speak TLS?", dialTimeout)
	}
	if why, ok := Rejected(e.err, e.files.Flags); ok {
		if e.files.URL != "" {
			return fmt.Sprintf("the server of %s asks for a certificate of this client, and none can be set, or shares no protocol version with it: %v", e.files.URL, e.err)
		}
		return why
	}
	return e.err.Error()
}

// tlsFlag is the flag that turns TLS on, where the others begin with flags.
func tlsFlag(flags string) string {
	if strings.HasSuffix(flags, "tls") {
		return flags
	}
	return flags + "-tls"
}

// Rejected says what to look at where a server turns this end's certificate down.
// In TLS 1.3 it does so after the handshake, with the first answer.
func Rejected(err error, flags string) (why string, ok bool) {
	text := err.Error()
	switch {
	case !strings.Contains(text, "remote error: tls: "):
		return "", false
	case strings.Contains(text, "certificate required"), strings.Contains(text, "handshake failure"):
		return fmt.Sprintf("the server asks for a certificate of this client, or shares no protocol version with it: set %s-cert and %s-key: %v", flags, flags, err), true
	case strings.Contains(text, "certificate"):
		return fmt.Sprintf("the server turns the certificate in %s-cert down: look at its authority and when it expires: %v", flags, err), true
	}
	return "", false
}
