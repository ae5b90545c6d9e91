package api

import (
	"context"
	"errors"
	"net/http"

	"stagedoor/gen"
	"stagedoor/server/internal/fault"
)

// GetLiveness answers as long as there is somebody to answer (contract/core.md R29).
func (o operations) GetLiveness(context.Context, gen.GetLivenessRequestObject) (gen.GetLivenessResponseObject, error) {
	return jsonReply(http.StatusOK, gen.HealthStatus{Status: gen.HealthStatusStatusOk}, true)
}

// GetReadiness answers 503 while traffic should go elsewhere (contract/core.md R29).
func (o operations) GetReadiness(ctx context.Context, _ gen.GetReadinessRequestObject) (gen.GetReadinessResponseObject, error) {
	err := o.ready(ctx)
	if err == nil {
		return jsonReply(http.StatusOK, gen.HealthStatus{Status: gen.HealthStatusStatusOk}, true)
	}
	message := "Backend is not ready"
	if f, ok := errors.AsType[*fault.Error](err); ok {
		message = f.Message
	} else {
		o.log.WarnContext(ctx, "not ready", "request", exchangeOf(ctx).id, "error", err)
	}
	return jsonReply(http.StatusServiceUnavailable, gen.HealthStatus{Status: gen.HealthStatusStatusError, Message: &message}, true)
}
