-- name: SelectSettings :many
select * from stagedoor_settings;

-- name: SaveSetting :exec
insert into stagedoor_settings (name, value) values (@name, @value)
on conflict (name) do update set value = excluded.value;
