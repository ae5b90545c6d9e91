package api

import (
	"context"
	"net/http"

	"stagedoor/gen"
)

// ListProviders answers what a sign-in page needs to offer a button for each provider (design D13).
func (o operations) ListProviders(context.Context, gen.ListProvidersRequestObject) (gen.ListProvidersResponseObject, error) {
	list := gen.ProviderList{Providers: []gen.ProviderDescription{}}
	for _, d := range o.signIn.Describe() {
		p := gen.ProviderDescription{
			ID: d.ID, Type: d.Type, Title: d.Title, Environments: append([]string{}, d.Environments...),
			Flows: make([]gen.ProviderDescriptionFlows, len(d.Flows)),
		}
		for i, flow := range d.Flows {
			p.Flows[i] = gen.ProviderDescriptionFlows(flow)
		}
		list.Providers = append(list.Providers, p)
	}
	return jsonReply(http.StatusOK, list, false)
}
