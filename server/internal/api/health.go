package api

import (
	"context"
	"errors"
	"net/http"

	"stagedoor/gen"
	"stagedoor/server/internal/fault"
)

// healthPath is where the probes are (contract/core.md R29).
const healthPath = "/.backstage/health/v1/"

// GetLiveness answers as long as there is somebody to answer (contract/core.md R29).
func (o operations) GetLiveness(context.Context, gen.GetLivenessRequestObject) (gen.GetLivenessResponseObject, error) {
	return o.liveness()
}

func (o operations) liveness() (reply, error) {
	return jsonReply(http.StatusOK, gen.HealthStatus{Status: gen.HealthStatusStatusOk}, true)
}

// GetReadiness answers 503 while traffic should go elsewhere (contract/core.md R29).
func (o operations) GetReadiness(ctx context.Context, _ gen.GetReadinessRequestObject) (gen.GetReadinessResponseObject, error) {
	return o.readiness(ctx, exchangeOf(ctx).id)
}

func (o operations) readiness(ctx context.Context, request string) (reply, error) {
	err := o.ready(ctx)
	if err == nil {
		return jsonReply(http.StatusOK, gen.HealthStatus{Status: gen.HealthStatusStatusOk}, true)
	}
	message := "Backend is not ready"
	if f, ok := errors.AsType[*fault.Error](err); ok {
		message = f.Message
	} else {
		o.log.WarnContext(ctx, "not ready", "request", request, "error", err)
	}
	return jsonReply(http.StatusServiceUnavailable, gen.HealthStatus{Status: gen.HealthStatusStatusError, Message: &message}, true)
}
