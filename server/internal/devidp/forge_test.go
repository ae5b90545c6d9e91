package devidp

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestClaimFaults(t *testing.T) {
	type claims = map[string]any
	number := func(n int64) json.Number { data, _ := json.Marshal(n); return json.Number(data) }
	for _, test := range []struct {
		fault  ClaimFault
		change func(c claims, issuer string, iat int64)
	}{
		{IssuerOther, func(c claims, _ string, _ int64) { c["iss"] = otherIssuer }},
		{IssuerTrailingSlash, func(c claims, issuer string, _ int64) { c["iss"] = issuer + "/" }},
		{IssuerUpperCase, func(c claims, issuer string, _ int64) { c["iss"] = strings.ToUpper(issuer) }},
		{IssuerMissing, func(c claims, _ string, _ int64) { delete(c, "iss") }},
		{AudienceOther, func(c claims, _ string, _ int64) { c["aud"] = otherClient }},
		{AudienceOthers, func(c claims, _ string, _ int64) { c["aud"] = []any{otherClient, "third-client"} }},
		{AudiencePartyOther, func(c claims, _ string, _ int64) {
			c["aud"], c["azp"] = []any{publicID, otherClient}, otherClient
		}},
		{AudiencePartyNone, func(c claims, _ string, _ int64) {
			c["aud"] = []any{publicID, otherClient}
			delete(c, "azp")
		}},
		{AudienceMissing, func(c claims, _ string, _ int64) { delete(c, "aud") }},
		{SubjectMissing, func(c claims, _ string, _ int64) { delete(c, "sub") }},
		{SubjectEmpty, func(c claims, _ string, _ int64) { c["sub"] = "" }},
		{ExpiryPast, func(c claims, _ string, iat int64) { c["exp"] = number(iat - 90) }},
		{ExpiryMissing, func(c claims, _ string, _ int64) { delete(c, "exp") }},
		{ExpiryString, func(c claims, _ string, _ int64) { c["exp"] = string(c["exp"].(json.Number)) }},
		{ExpiryHuge, func(c claims, _ string, _ int64) { c["exp"] = json.Number("9223372036854775808") }},
		{IssuedAtMissing, func(c claims, _ string, _ int64) { delete(c, "iat") }},
		{IssuedAtFuture, func(c claims, _ string, iat int64) { c["iat"] = number(iat + 90) }},
		{NotBeforeFuture, func(c claims, _ string, iat int64) { c["nbf"] = number(iat + 90) }},
		{NonceOther, func(c claims, _ string, _ int64) { c["nonce"] = "another-nonce" }},
		{NonceMissing, func(c claims, _ string, _ int64) { delete(c, "nonce") }},
		{AccessHashOther, func(c claims, _ string, _ int64) { c["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA" }},
	} {
		t.Run(string(test.fault), func(t *testing.T) {
			got, want := healthyClaims(), healthyClaims()
			test.change(want, "https://idp.example", 1_800_000_000)
			faults := IDTokenFaults{Claims: []ClaimFault{test.fault}, By: 90 * time.Second}
			if err := faults.spoilClaims(got, "https://idp.example"); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, overTheWire(t, got)); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
	if got := len(ClaimFaults()); got != 21 {
		t.Errorf("%d claim faults are listed, want the 21 above", got)
	}
}

func healthyClaims() map[string]any {
	return map[string]any{
		"iss": "https://idp.example", "sub": "jane-doe", "aud": []any{publicID}, "azp": publicID, "nonce": someNonce,
		"iat": json.Number("1800000000"), "exp": json.Number("1800003600"), "at_hash": "BBBBBBBBBBBBBBBBBBBBBB",
	}
}

// overTheWire encodes and decodes claims, so that two spellings of one number compare as equal.
func overTheWire(t *testing.T, claims map[string]any) map[string]any {
	t.Helper()
	data, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeObject(data)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestClaimFaultsReachTheClient shows that each changed token is served, and signed with the provider's own key.
func TestClaimFaultsReachTheClient(t *testing.T) {
	r := newRig(t)
	healthy := mustParse(t, r.tokens(t, jane)).claims
	moving := map[string]bool{"at_hash": true, "c_hash": true, "exp": true, "iat": true, "auth_time": true}
	same := cmpopts.IgnoreMapEntries(func(name string, _ any) bool { return moving[name] })
	for _, fault := range ClaimFaults() {
		r.Misbehave(func(f *Faults) { f.IDToken.Claims = []ClaimFault{fault} })
		tokens := r.tokens(t, jane)
		compact, _ := tokens["id_token"].(string)
		checkSignedBy(t, compact, r.keys.current())
		got := mustParse(t, tokens).claims
		isMoving := strings.Contains(string(fault), "exp") || strings.Contains(string(fault), "iat") || fault == AccessHashOther
		if cmp.Equal(healthy, got, same) != isMoving {
			t.Errorf("%s: claims are %v", fault, got)
		}
	}
}

func checkSignedBy(t *testing.T, compact string, key signingKey) {
	t.Helper()
	signed, err := jose.ParseSigned(compact, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signed.Verify(key.private.Public()); err != nil {
		t.Errorf("signature does not verify: %v", err)
	}
}

func TestSignatureFaults(t *testing.T) {
	for _, alg := range []string{ES256, RS256} {
		t.Run(alg, func(t *testing.T) {
			r := newRig(t, func(o *Options) { o.Algorithm = alg })
			key := r.keys.current()
			for _, test := range []struct {
				fault    SignatureFault
				alg, kid any
				verifies bool // Against the key that is published.
			}{
				{"", alg, key.id, true},
				{SignatureNone, "none", key.id, false},
				{SignatureFlipped, alg, key.id, false},
				{SignatureOtherKey, alg, key.id, false},
				{SignatureSymmetric, "HS256", key.id, false},
				{KeyIDAbsent, alg, nil, true},
				{KeyIDUnknown, alg, "?", true},
			} {
				r.Misbehave(func(f *Faults) { f.IDToken.Signature = test.fault })
				tokens := r.tokens(t, jane)
				compact, _ := tokens["id_token"].(string)
				header := mustParse(t, tokens).header
				if test.kid == "?" && header["kid"] != key.id && header["kid"] != nil {
					test.kid = header["kid"]
				}
				if header["alg"] != test.alg || header["kid"] != test.kid {
					t.Errorf("%q: header is %v", test.fault, header)
				}
				if got := verifiesWith(compact, key); got != test.verifies {
					t.Errorf("%q: verifies %v, want %v", test.fault, got, test.verifies)
				}
				checkForgery(t, test.fault, compact, r)
			}
		})
	}
}

func verifiesWith(compact string, key signingKey) bool {
	signed, err := jose.ParseSigned(compact, []jose.SignatureAlgorithm{key.alg})
	if err != nil {
		return false
	}
	_, err = signed.Verify(key.private.Public())
	return err == nil
}

// checkForgery shows that a forged signature is what its name says, and not just broken.
func checkForgery(t *testing.T, fault SignatureFault, compact string, r *rig) {
	t.Helper()
	input, signature := compact[:strings.LastIndex(compact, ".")], compact[strings.LastIndex(compact, ".")+1:]
	switch fault {
	case SignatureNone:
		if signature != "" {
			t.Error("the signature of alg none is not empty")
		}
	case SignatureOtherKey:
		if !verifiesWith(compact, r.other) {
			t.Error("the other key did not sign")
		}
	case SignatureFlipped:
		raw, err := base64.RawURLEncoding.DecodeString(signature)
		if err != nil {
			t.Fatal(err)
		}
		raw[len(raw)/2] ^= 1
		if !verifiesWith(input+"."+base64.RawURLEncoding.EncodeToString(raw), r.keys.current()) {
			t.Error("flipping the bit back does not mend the signature")
		}
	case SignatureSymmetric:
		der, err := x509.MarshalPKIXPublicKey(r.keys.current().private.Public())
		if err != nil {
			t.Fatal(err)
		}
		mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		mac.Write([]byte(input))
		if want := base64.RawURLEncoding.EncodeToString(mac.Sum(nil)); signature != want {
			t.Error("the signature is not the HMAC with the public key")
		}
	}
}

func TestEditOfClaims(t *testing.T) {
	r := newRig(t)
	r.Misbehave(func(f *Faults) {
		f.IDToken.Claims = []ClaimFault{NonceMissing, SubjectEmpty}
		f.IDToken.Edit = func(c map[string]any) { c["extra"] = true }
	})
	got := mustParse(t, r.tokens(t, jane)).claims
	if _, nonce := got["nonce"]; nonce || got["sub"] != "" || got["extra"] != true {
		t.Errorf("claims are %v", got)
	}
}

func FuzzParseIDToken(f *testing.F) {
	f.Add("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.")
	f.Add("..")
	f.Add("e30.e30.AA")
	f.Add("bnVsbA.bnVsbA.AA")
	f.Fuzz(func(t *testing.T, compact string) {
		token, err := parseIDToken(compact)
		if err != nil {
			return
		}
		if strings.Count(compact, ".") != 2 {
			t.Fatal("accepted what is not three parts")
		}
		if token.claims != nil {
			_ = IDTokenFaults{Claims: ClaimFaults()}.spoilClaims(token.claims, otherIssuer)
		}
	})
}
