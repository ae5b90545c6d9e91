package devidp_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"

	"stagedoor/server/internal/devidp"
)

// A test starts the provider on the port that it got, breaks it, and signs somebody in.
func ExampleMisbehaving() {
	server := httptest.NewUnstartedServer(nil)
	idp, err := devidp.NewMisbehaving(devidp.Options{
		Issuer:    "http://" + server.Listener.Addr().String(),
		Algorithm: devidp.ES256,
		Clients:   []devidp.Client{{ID: "app", Secret: "s", RedirectURIs: []string{"http://localhost:9/callback"}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	server.Config.Handler = idp
	server.Start()
	defer server.Close()

	idp.Misbehave(func(f *devidp.Faults) { f.Authorization = devidp.StateMissing })
	jar, err := cookiejar.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	query := url.Values{
		"client_id": {"app"}, "response_type": {"code"}, "scope": {"openid"},
		"redirect_uri": {"http://localhost:9/callback"}, "state": {"xyz"},
	}
	callback, err := devidp.Login(&http.Client{Jar: jar}, idp.Issuer()+"/authorize?"+query.Encode(), "jane.doe@example.com")
	if err != nil {
		log.Fatal(err)
	}
	back, err := url.Parse(callback)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("code:", back.Query().Has("code"), "state:", back.Query().Has("state"))
	fmt.Println("asked:", idp.Calls().Endpoint[devidp.AuthorizationEndpoint])
	// Output:
	// code: true state: false
	// asked: 1
}
