-- name: InsertPluginKey :execrows
insert into stagedoor_plugin_keys (
    id, generation, algorithm, public_jwk, private_key, created_at, signs_from, retire_at
) values (
    @id, @generation, @algorithm, @public_jwk, @private_key, @created_at, @signs_from, @retire_at
) on conflict do nothing;

-- name: SelectPluginKeys :many
select * from stagedoor_plugin_keys order by generation;

-- name: RetirePluginKey :exec
update stagedoor_plugin_keys set retire_at = @retire_at where id = @id and retire_at is null;

-- name: DeletePluginKey :exec
delete from stagedoor_plugin_keys where id = @id;
