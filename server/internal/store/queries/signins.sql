-- name: InsertTransaction :execrows
insert into stagedoor_transactions (id, until) values (@id, @until) on conflict (id) do nothing;

-- name: SaveUserInfo :exec
insert into stagedoor_user_info (user_ref, info) values (@user_ref, @info)
on conflict (user_ref) do update set info = excluded.info;

-- name: SelectUserInfo :one
select info from stagedoor_user_info where user_ref = @user_ref;

-- name: SaveAttempt :exec
insert into stagedoor_attempts (id, attempt, until) values (@id, @attempt, @until)
on conflict (id) do update set attempt = excluded.attempt, until = excluded.until;

-- name: SelectAttempt :one
select attempt from stagedoor_attempts where id = @id and until > @now;
