-- The clock of leases is the database's, in milliseconds as everywhere: the clocks of replicas may differ by more than a lease lasts.

-- name: AcquireLease :one
update stagedoor_sessions
set lease_owner = @owner, lease_until = cast(floor(extract(epoch from now()) * 1000) as bigint) + @ttl::bigint
where id = @id
  and (lease_until <= cast(floor(extract(epoch from now()) * 1000) as bigint) or lease_owner = @owner)
returning *;

-- name: RenewLease :execrows
update stagedoor_sessions
set lease_until = cast(floor(extract(epoch from now()) * 1000) as bigint) + @ttl::bigint
where id = @id and lease_owner = @owner;
