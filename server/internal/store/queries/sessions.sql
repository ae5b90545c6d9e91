-- name: InsertSession :exec
insert into stagedoor_sessions (
    id, provider, env, user_ref, scope, tokens, created_at, used_at, refreshed_at, expires_at
) values (
    @id, @provider, @env, @user_ref, @scope, @tokens, @created_at, @used_at, @refreshed_at, @expires_at
);

-- name: InsertAdoption :execrows
insert into stagedoor_adoptions (session_id, until) values (@session_id, @until)
on conflict (session_id) do nothing;

-- name: SelectSession :one
select * from stagedoor_sessions where id = @id;

-- name: TouchSession :execrows
update stagedoor_sessions set used_at = @used_at, user_ref = @user_ref where id = @id;

-- name: ExpireSession :exec
update stagedoor_sessions set expires_at = @at where id = @id and expires_at > @at;

-- name: DeleteSession :exec
delete from stagedoor_sessions where id = @id;

-- name: FinishLease :execrows
update stagedoor_sessions
set scope = @scope, tokens = @tokens, refreshed_at = @refreshed_at, lease_owner = '', lease_until = 0
where id = @id and lease_owner = @owner;

-- name: ReleaseLease :exec
update stagedoor_sessions set lease_owner = '', lease_until = 0 where id = @id and lease_owner = @owner;
