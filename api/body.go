package api

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// What a request's body may have.
const (
	maxBody      = 64 << 10
	maxBatchBody = 4 << 20
	// A larger buffer is not kept for the next request.
	keptBody = 256 << 10
)

// readBody appends the whole body to dst.
func readBody(w http.ResponseWriter, r *http.Request, dst []byte, limit int64) ([]byte, *problem) {
	if p := checkContent(r); p != nil {
		return dst, p
	}
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close") // what is not read would have to be skipped
		return dst, tooLarge(limit)
	}
	body := http.MaxBytesReader(w, r.Body, limit)
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := body.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		var large *http.MaxBytesError
		switch {
		case errors.Is(err, io.EOF):
			return dst, nil
		case errors.As(err, &large):
			return dst, tooLarge(limit)
		case errors.Is(err, os.ErrDeadlineExceeded):
			w.Header().Set("Connection", "close") // the rest of the body is still to come
			return dst, newProblem(http.StatusRequestTimeout, "slow", "The body came in too slowly", "").after(1)
		case err != nil:
			return dst, newProblem(http.StatusBadRequest, "body", "The body could not be read to its end", "")
		}
	}
}

func tooLarge(limit int64) *problem {
	return newProblem(http.StatusRequestEntityTooLarge, "too-large", "The body is too large",
		"At most "+strconv.FormatInt(limit, 10)+" bytes are taken.")
}

// checkContent refuses what says it is not JSON. A request that does not say is
// taken at its body.
func checkContent(r *http.Request) *problem {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return newProblem(http.StatusUnsupportedMediaType, "content-encoding", "The body is encoded in a way that is not taken", "Send it as it is, without Content-Encoding.")
	}
	content := r.Header.Get("Content-Type")
	if content == "" || content == "application/json" {
		return nil
	}
	media, params, err := mime.ParseMediaType(content)
	if base, _, _ := strings.Cut(content, ";"); err != nil && strings.EqualFold(strings.TrimSpace(base), "application/json") {
		return newProblem(http.StatusUnsupportedMediaType, "content-type", "The parameters of the body's type cannot be read",
			"It says "+brief(content)+": "+strings.TrimPrefix(err.Error(), "mime: ")+". Send Content-Type: application/json, without parameters.")
	}
	if err == nil && media == "application/json" {
		charset := strings.ToLower(params["charset"])
		switch charset {
		case "", "utf-8", "utf8":
			return nil
		}
		return newProblem(http.StatusUnsupportedMediaType, "content-type", "The body is in a charset that is not taken", "It says "+brief(charset)+"; JSON is UTF-8.")
	}
	return newProblem(http.StatusUnsupportedMediaType, "content-type", "The body is of a type that is not taken", "It says "+brief(content)+". Send Content-Type: application/json.")
}
