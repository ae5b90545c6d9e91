-- name: SweepExpiredSessions :execrows
delete from stagedoor_sessions where id in (
    select s.id from stagedoor_sessions as s where s.expires_at < @now limit @batch
);

-- name: SweepIdleSessions :execrows
delete from stagedoor_sessions where id in (
    select s.id from stagedoor_sessions as s where s.used_at < @used_before and s.lease_until <= @now limit @batch
);

-- name: SweepAdoptions :execrows
delete from stagedoor_adoptions where session_id in (
    select a.session_id from stagedoor_adoptions as a where a.until < @now limit @batch
);

-- name: SweepTransactions :execrows
delete from stagedoor_transactions where id in (
    select t.id from stagedoor_transactions as t where t.until < @now limit @batch
);

-- name: SweepAttempts :execrows
delete from stagedoor_attempts where id in (
    select a.id from stagedoor_attempts as a where a.until < @now limit @batch
);
