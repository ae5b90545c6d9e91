package storetest

import (
	"testing"
	"time"

	"stagedoor/server/internal/op"
	"stagedoor/server/internal/signin"
)

var signinCases = []testCase{
	{"a transaction is consumed once", consumeOnce},
	{"one of many flights consumes", consumeRace},
	{"unknown user info is ErrNoUserInfo", unknownUserInfo},
	{"the last user info wins", lastUserInfoWins},
	{"concurrent user info is one of those written", userInfoRace},
}

func consumeOnce(t *testing.T, b bench) {
	until := b.Now().Add(10 * time.Minute)
	must(t, b.Consume(t.Context(), "a", until))
	wantError(t, b.Consume(t.Context(), "a", until), signin.ErrConsumed)
	wantError(t, b.other.Consume(t.Context(), "a", until.Add(time.Hour)), signin.ErrConsumed)
	must(t, b.other.Consume(t.Context(), "A", until))
}

func consumeRace(t *testing.T, b bench) {
	until := b.Now().Add(10 * time.Minute)
	errs := race(func(i int) error { return b.handle(i).Consume(t.Context(), "a", until) })
	wantOneWinner(t, errs, signin.ErrConsumed)
}

func unknownUserInfo(t *testing.T, b bench) {
	must(t, b.SaveUserInfo(t.Context(), "user:default/mira", []byte(`{}`)))
	_, err := b.UserInfo(t.Context(), "user:default/noor")
	wantError(t, err, op.ErrNoUserInfo)
}

func lastUserInfoWins(t *testing.T, b bench) {
	const mira, noor = "user:default/mira", "user:default/zoë"
	must(t, b.SaveUserInfo(t.Context(), noor, []byte(`{"claims":{"sub":"zoë"}}`)))
	for _, info := range [][]byte{[]byte(`{"claims":{"n":1}}`), everyByte(), {}, []byte("12")} {
		must(t, b.SaveUserInfo(t.Context(), mira, info))
		got, err := b.other.UserInfo(t.Context(), mira)
		must(t, err)
		wantEqual(t, got, info)
	}
	got, err := b.UserInfo(t.Context(), noor)
	must(t, err)
	wantEqual(t, string(got), `{"claims":{"sub":"zoë"}}`)
}

func userInfoRace(t *testing.T, b bench) {
	written := func(i int) string { return string(everyByte()[:i+1]) }
	errs := race(func(i int) error { return b.handle(i).SaveUserInfo(t.Context(), "u", []byte(written(i))) })
	for _, err := range errs {
		must(t, err)
	}
	got, err := b.UserInfo(t.Context(), "u")
	must(t, err)
	wantEqual(t, string(got), written(len(got)-1))
}
