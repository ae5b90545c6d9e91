-- Each batch is locked before it is removed, so that a session which is used or leased in between is looked at again and stays. What
-- another replica holds is left to it: two that sweep at once share the work instead of waiting for one another. The order is that of an
-- index, so that a plan for values that are not known yet is to walk that index too.

-- name: SweepExpiredSessions :execrows
delete from stagedoor_sessions where id = any(array(
    select s.id from stagedoor_sessions as s where s.expires_at < @now
    order by s.expires_at limit cast(@batch as bigint) for update skip locked
));

-- name: SweepIdleSessions :execrows
delete from stagedoor_sessions where id = any(array(
    select s.id from stagedoor_sessions as s where s.used_at < @used_before
      and s.lease_until <= cast(floor(extract(epoch from now()) * 1000) as bigint)
    order by s.used_at limit cast(@batch as bigint) for update skip locked
));

-- name: SweepAdoptions :execrows
delete from stagedoor_adoptions where session_id = any(array(
    select s.session_id from stagedoor_adoptions as s where s.until < @now
    order by s.until limit cast(@batch as bigint) for update skip locked
));

-- name: SweepTransactions :execrows
delete from stagedoor_transactions where id = any(array(
    select s.id from stagedoor_transactions as s where s.until < @now
    order by s.until limit cast(@batch as bigint) for update skip locked
));

-- name: SweepAttempts :execrows
delete from stagedoor_attempts where id = any(array(
    select s.id from stagedoor_attempts as s where s.until < @now
    order by s.until limit cast(@batch as bigint) for update skip locked
));
