-- name: InsertKey :execrows
insert into stagedoor_signing_keys (
    id, generation, algorithm, public_jwk, private_key, created_at, signs_from, retire_at
) values (
    @id, @generation, @algorithm, @public_jwk, @private_key, @created_at, @signs_from, @retire_at
) on conflict do nothing;

-- name: SelectKeys :many
select * from stagedoor_signing_keys order by generation;

-- name: RetireKey :exec
update stagedoor_signing_keys set retire_at = @retire_at where id = @id and retire_at is null;

-- name: DeleteKey :exec
delete from stagedoor_signing_keys where id = @id;

-- name: CountKeys :one
select count(*) from stagedoor_signing_keys;
