package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"stagedoor/server/internal/api/apitest"
	"stagedoor/server/internal/signin"
)

// samlWorld is a server that knows two providers: saml and corp/development are at one, corp/production is at the other.
type samlWorld struct {
	*deployment
	one, two *samlIDP
}

const samlConfig = `
    saml:
      entryPoint: %ONE%/sso
      issuer: urn:portal
      cert: %ONECERT%
      idpIssuer: %ONE%/metadata
%SAML%
      signIn: {resolvers: [{resolver: nameIdMatchingUserEntityName}]}
    corp:
      development:
        type: saml
        idpMetadataUrl: %ONE%/metadata
        issuer: urn:portal:corp
        privateKey: %SIGN%
        decryptionPvk: %OPEN%
        signIn: {resolvers: [{resolver: emailMatchingUserEntityProfileEmail}]}
      production:
        entryPoint: %TWO%/sso
        issuer: urn:portal:corp:production
        cert: %TWOCERT%
        logoutUrl: https://idp.example/leave?tenant=7
        signIn:
          resolvers:
            - resolver: rule
              when: '"dev" in claims.groups'
              user: {ref: '"user:default/" + claims.uid'}
`

// deploySAML starts all of that; extra are further keys of saml.
func deploySAML(t *testing.T, extra string) *samlWorld {
	t.Helper()
	w := &samlWorld{one: startSAML(t), two: startSAML(t)}
	w.deployment = deploy(t, settings{provider: strings.NewReplacer(
		"%ONE%", w.one.base, "%TWO%", w.two.base, "%ONECERT%", w.one.certificate(), "%TWOCERT%", w.two.certificate(),
		"%SIGN%", strconv.Quote(pemKey(t)), "%OPEN%", strconv.Quote(pemKey(t)), "%SAML%", extra,
	).Replace(samlConfig)})
	return w
}

// replica is another process on the same files.
func (w *samlWorld) replica() *deployment {
	w.t.Helper()
	ln := w.listen("127.0.0.1:0")
	other := &deployment{t: w.t, dir: w.dir, base: "http://" + ln.Addr().String(), logs: &logBuffer{}}
	other.start(ln, settings{})
	w.t.Cleanup(other.shutdown)
	return other
}

// visitor is a person's browser at one of the providers.
type visitor struct {
	t       *testing.T
	w       *samlWorld
	id, env string
	idp     *samlIDP
	jar     http.CookieJar
	*apitest.Client
	// elsewhere is the same browser, and the request comes from a page of another site: no cookies of ours come along.
	elsewhere *apitest.Client
}

// visitor comes with an empty jar, and registers our metadata with the provider.
func (w *samlWorld) visitor(t *testing.T, id, env string, idp *samlIDP) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{t: t, w: w, id: id, env: env, idp: idp, jar: jar}
	v.goTo(w.base)
	idp.registers(v.Get("/api/auth/" + id + "/metadata?env=" + env).Body)
	return v
}

// goTo lets the browser speak to the server at another address.
func (v *visitor) goTo(base string) {
	// A bound that only a broken test reaches; nothing is asserted about it.
	v.Client = apitest.NewClient(v.t, base, &http.Client{Jar: v.jar, Timeout: time.Minute})
	v.elsewhere = apitest.NewClient(v.t, base, &http.Client{Timeout: time.Minute})
}

// cookiesOf are those that the browser would send to that address.
func (v *visitor) cookiesOf(address string) []*http.Cookie {
	v.t.Helper()
	return v.jar.Cookies(samlForm{action: address}.address(v.t))
}

// start does what the front end's SAML connector does: it opens the start with the environment alone (contract/core.md U18).
func (v *visitor) start(query ...string) *url.URL {
	v.t.Helper()
	q := url.Values{"env": {v.env}}
	for i := 0; i+1 < len(query); i += 2 {
		q.Set(query[i], query[i+1])
	}
	res := v.Get("/api/auth/" + v.id + "/start?" + q.Encode())
	to, err := url.Parse(res.Header.Get("Location"))
	if res.Status != http.StatusFound || err != nil {
		v.t.Fatalf("start: %d %v %s", res.Status, err, res.Body)
	}
	return to
}

// atProvider opens a page of the provider and returns the form that it posts.
func (v *visitor) atProvider(address string) samlForm {
	v.t.Helper()
	res, err := http.Get(address) //nolint:noctx // a test's own server
	page := read(v.t, res, err)
	if res.StatusCode != http.StatusOK {
		v.t.Fatalf("the provider answers %d: %s", res.StatusCode, v.idp.logs)
	}
	return readForm(v.t, address, page)
}

// toForm goes as far as the provider's page.
func (v *visitor) toForm(query ...string) samlForm {
	v.t.Helper()
	to := v.start(query...)
	return v.atProvider(to.String())
}

func (v *visitor) send(c *apitest.Client, f samlForm, origin string) apitest.Response {
	v.t.Helper()
	return c.Post(f.address(v.t).RequestURI(), apitest.Body("application/x-www-form-urlencoded", f.fields.Encode()), apitest.Header("Origin", origin))
}

// post is the provider's page posting the form.
func (v *visitor) post(f samlForm) apitest.Response {
	v.t.Helper()
	return v.send(v.elsewhere, f, v.idp.base)
}

// end goes the whole rest of the way, over the page that posts the form again.
func (v *visitor) end(f samlForm) apitest.Response {
	v.t.Helper()
	page := v.post(f)
	if page.Status != http.StatusOK || len(page.Cookies) > 0 {
		v.t.Fatalf("the first post: %d with the cookies %v: %s", page.Status, page.Cookies, page.Body)
	}
	again := readForm(v.t, f.action, string(page.Body))
	return v.send(v.Client, again, v.w.base)
}

// signIn signs the person in, in the popup.
func (v *visitor) signIn() session {
	v.t.Helper()
	m := posted(v.t, v.end(v.toForm()))
	if m.Error.Name != "" {
		v.t.Fatalf("sign-in failed: %+v", m.Error)
	}
	return m.Response
}

// refused demands that the answer is a failure with the code, and that nobody is signed in.
func (v *visitor) refused(res apitest.Response, code string) {
	v.t.Helper()
	if m := posted(v.t, res); m.Error.Code != code || m.Error.AttemptID == "" || m.origin != appOrigin {
		v.t.Errorf("got %+v for %q, want %s", m.Error, m.origin, code)
	}
	v.nobody()
}

func (v *visitor) nobody() {
	v.t.Helper()
	if v.cookie() != "" {
		v.t.Error("there is a session's cookie")
	}
	if res := v.refresh(); string(bytes.TrimSpace(res.Body)) != "{}" {
		v.t.Errorf("somebody is signed in: %d %s", res.Status, res.Body)
	}
}

func (v *visitor) refresh() apitest.Response {
	v.t.Helper()
	return v.Get("/api/auth/"+v.id+"/refresh?optional&env="+v.env, apitest.Header("X-Requested-With", "XMLHttpRequest"))
}

func (v *visitor) logout() apitest.Response {
	v.t.Helper()
	return v.Post("/api/auth/"+v.id+"/logout?env="+v.env, apitest.Header("X-Requested-With", "XMLHttpRequest"))
}

// cookie is the session's.
func (v *visitor) cookie() string {
	v.t.Helper()
	for _, c := range v.cookiesOf(v.w.base + "/api/auth/" + v.id + "/refresh") {
		if c.Name == signin.SessionCookie {
			return c.Value
		}
	}
	return ""
}

// samlSession is all that the front end's SAML connector keeps (contract/core.md U14, U18), beside an empty providerInfo.
type samlSession struct {
	Profile struct {
		Email       string `json:"email"`
		DisplayName string `json:"displayName"`
	} `json:"profile"`
	ProviderInfo      *struct{} `json:"providerInfo"`
	BackstageIdentity struct {
		Token            string  `json:"token"`
		ExpiresInSeconds float64 `json:"expiresInSeconds"`
		Identity         struct {
			Type                string   `json:"type"`
			UserEntityRef       string   `json:"userEntityRef"`
			OwnershipEntityRefs []string `json:"ownershipEntityRefs"`
		} `json:"identity"`
	} `json:"backstageIdentity"`
}

// wantSAMLSession reads a session and demands that it has these members and no others.
func wantSAMLSession(t *testing.T, body []byte, user string) {
	t.Helper()
	var s samlSession
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		t.Fatalf("session %s: %v", body, err)
	}
	id := s.BackstageIdentity
	if s.ProviderInfo == nil || id.Token == "" || id.ExpiresInSeconds < 3000 || id.Identity.Type != "user" ||
		id.Identity.UserEntityRef != "user:default/"+user || len(id.Identity.OwnershipEntityRefs) < 2 {
		t.Errorf("session %s, want %s", body, user)
	}
	if s.Profile.Email != user+"@example.com" || s.Profile.DisplayName == "" {
		t.Errorf("profile %+v", s.Profile)
	}
}

// responseIn is the session in the popup page, as it stands there.
func responseIn(t *testing.T, res apitest.Response) []byte {
	t.Helper()
	text, err := url.PathUnescape(literals.FindStringSubmatch(string(res.Body))[1])
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Response json.RawMessage `json:"response"`
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	return m.Response
}
