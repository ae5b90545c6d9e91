package providers

import (
	"testing"
	"time"
)

// FuzzTokenAnswer: whatever a token endpoint says, in JSON or form encoding, a success has an access token.
func FuzzTokenAnswer(f *testing.F) {
	for _, seed := range []string{
		"access_token=at&scope=a%2Cb&token_type=bearer", "error=bad_refresh_token&error_description=gone", "access_token=", "%",
		`{"access_token":"at","expires_in":"3600"}`, `{"error":"bad_verification_code"}`, `{"error":1}`, "null", "[]", "",
	} {
		f.Add(200, seed)
		f.Add(400, seed)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		got, err := answer{status: status, body: []byte(body)}.standard(githubErrors).tokens(&Error{Kind: ErrExpired, Code: CodeTokenRejected})
		if (err == nil) != (got.AccessToken != "") {
			t.Errorf("access token there: %t, error %v", got.AccessToken != "", err)
		}
	})
}

// FuzzUnsignedIDToken: whatever is read has a subject and is for this client.
func FuzzUnsignedIDToken(f *testing.F) {
	for _, seed := range []string{"", "..", "a.e30.c", "a.eyJhdWQiOiJjIiwic3ViIjoidSIsImV4cCI6MjAwMDAwMDAwMCwiaWF0IjoxfQ.c", "a.bnVsbA.c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		readsGraph(raw)
		claims, err := idTokenCheck{clientID: "c", now: time.Unix(1_800_000_000, 0)}.read(raw)
		if err == nil && (claims["sub"] == "" || claims["sub"] == nil || claims["aud"] == nil) {
			t.Errorf("accepted without subject or audience")
		}
	})
}
