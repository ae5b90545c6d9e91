-- name: InsertSession :exec
insert into stagedoor_sessions (
    id, provider, env, user_ref, scope, tokens, created_at, used_at, refreshed_at, expires_at, subject_key, upstream_key
) values (
    @id, @provider, @env, @user_ref, @scope, @tokens, @created_at, @used_at, @refreshed_at, @expires_at, @subject_key, @upstream_key
);

-- name: InsertAdoption :execrows
insert into stagedoor_adoptions (session_id, until) values (@session_id, @until)
on conflict (session_id) do nothing;

-- name: SelectSession :one
select * from stagedoor_sessions where id = @id;

-- name: SessionsAfter :many
select * from stagedoor_sessions where id > @after order by id limit cast(@batch as bigint);

-- name: SessionsOfUser :many
select * from stagedoor_sessions where user_ref = @user_ref and id > @after order by id limit cast(@batch as bigint);

-- name: SessionsOfSubject :many
select * from stagedoor_sessions where subject_key = @subject_key and subject_key <> '' and id > @after order by id limit cast(@batch as bigint);

-- name: SessionsUpstream :many
select * from stagedoor_sessions where upstream_key = @upstream_key and upstream_key <> '' and id > @after order by id limit cast(@batch as bigint);

-- name: TouchSession :execrows
update stagedoor_sessions set used_at = @used_at, user_ref = @user_ref where id = @id;

-- name: ExpireSession :exec
update stagedoor_sessions set expires_at = @at where id = @id and expires_at > @at;

-- name: DeleteSession :exec
delete from stagedoor_sessions where id = @id;

-- name: FinishLease :execrows
update stagedoor_sessions
set scope = @scope, tokens = @tokens, refreshed_at = @refreshed_at, subject_key = @subject_key, upstream_key = @upstream_key,
    lease_owner = '', lease_until = 0
where id = @id and lease_owner = @owner;

-- name: ReleaseLease :exec
update stagedoor_sessions set lease_owner = '', lease_until = 0 where id = @id and lease_owner = @owner;
