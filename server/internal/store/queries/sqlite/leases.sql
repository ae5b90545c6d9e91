-- The clock of leases is the caller's: all processes that share a file run on one machine.

-- name: AcquireLease :one
update stagedoor_sessions set lease_owner = @owner, lease_until = @until
where id = @id and (lease_until <= @now or lease_owner = @owner)
returning *;

-- name: RenewLease :execrows
update stagedoor_sessions set lease_until = @until where id = @id and lease_owner = @owner;
