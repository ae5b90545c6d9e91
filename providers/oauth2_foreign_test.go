package providers

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
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
		if e, ok := errors.AsType[*Error](err); err != nil && (!ok || codes[e.Code] == "") {
			t.Errorf("error %v", err)
		}
		// Only invalid_grant in so many words, or in the vendor's, ends a session.
		if errors.Is(err, ErrExpired) && !strings.Contains(body, "bad_") && !strings.Contains(body, "invalid_grant") && !strings.ContainsAny(body, `\%`) {
			t.Errorf("ended by %q", body)
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

// FuzzAuthorizationResponse: whatever a browser brings is one code of the issuer that was asked, or a documented error.
func FuzzAuthorizationResponse(f *testing.F) {
	for _, seed := range []string{
		"code=a&state=b", "code=a&iss=https://idp.example", "code=a&iss=https://evil.example", "code=a&iss=", "error=access_denied&error_description=no",
		"code=a&code=b", "code=a&error=b", "error=%e2%80%a8%00&iss=https://idp.example", "code=&iss=https://idp.example/", "iss[]=x&code=a",
	} {
		f.Add(seed)
	}
	o := &oauth2Provider{spec: oauth2Spec{issuer: "https://idp.example"}}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		code, err := o.readCallback(q)
		if err == nil {
			if code == "" || q.Has("error") || len(q["code"]) != 1 || q.Has("iss") && !slices.Equal(q["iss"], []string{"https://idp.example"}) {
				t.Errorf("%q gave code %q", raw, code)
			}
			return
		}
		if e, ok := errors.AsType[*Error](err); !ok || codes[e.Code] == "" || len([]rune(e.Message)) > 420 || errors.Is(err, ErrExpired) {
			t.Errorf("%q gave %v", raw, err)
		}
	})
}

// FuzzVendorAnswer: whatever a vendor says about a user, who is read has an id, and an email only if the vendor names it and does not
// disown it, in either of its answers.
func FuzzVendorAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"id":1,"sub":"1","uuid":"1","account_id":"1","metadata":{"name":"jane"},"login":"jane","email":"jane@corp.example","mail":"jane@corp.example"}`,
		`{"id":1,"email":"jane@corp.example","confirmed_at":null}`, `{"id":1,"email":"jane@corp.example","confirmed_at":7}`,
		`{"sub":"1","email":"jane@corp.example","email_verified":"false"}`, `{"sub":"1","email":"jane@corp.example","email_verified":null}`,
		`{"id":null,"sub":7.5,"uuid":[],"account_id":{},"metadata":[]}`, `{"id":true}`, `{"id":1e400}`, `{"error":"x"}`, `{"ID":1,"SUB":"1"}`, `[]`, `null`,
	} {
		f.Add(seed, `{"sub":"1","email":"other@corp.example"}`)
		f.Add(seed, `{"email":"other@corp.example","email_verified":false}`)
		f.Add(seed, `null`)
	}
	reads := map[string]func(map[string]any, error) (oauth2User, error){
		"github": readGithubUser, "gitlab": readGitlabUser, "microsoft": readGraphUser, "bitbucket": readBitbucketUser,
		"atlassian": readAtlassianUser, "openshift": readOpenshiftUser, "standard": standardUserOf, "generic": genericOAuth2Config{}.readUser,
	}
	f.Fuzz(func(t *testing.T, answer, token string) {
		info, err := jsonObject([]byte(answer))
		if err != nil {
			return
		}
		claims, _ := jsonObject([]byte(token))
		before := maps.Clone(info)
		for name, read := range reads {
			user, err := read(info, nil)
			if err == nil {
				user, err = (&oauth2Provider{}).combined(user, claims)
			}
			if err != nil {
				if e, ok := errors.AsType[*Error](err); !ok || codes[e.Code] == "" || e.Kind != nil {
					t.Errorf("%s: error %v", name, err)
				}
				continue
			}
			email := user.profile.Email
			told := email == info["email"] || email == info["mail"] || email == claims["email"] && !disowned(claims)
			if user.subject == "" || email != "" && (!told || name != "github" && name != "microsoft" && disowned(info)) {
				t.Errorf("%s: subject there: %t, email %q", name, user.subject != "", email)
			}
			if confirmed, there := info["confirmed_at"]; name == "gitlab" && there && member(info, "confirmed_at") == "" && email != "" {
				t.Errorf("an email that was confirmed %v", confirmed)
			}
			if len(before) != len(info) {
				t.Errorf("%s: the answer was changed", name)
			}
		}
	})
}
