-- Finding sessions by their user, and by what a provider calls the user and the session there. The two are hashes, empty in rows
-- that an older version has made. What became of failed attempts is kept where every process finds it.

-- +goose Up
alter table stagedoor_sessions add column subject_key text not null default '';
alter table stagedoor_sessions add column upstream_key text not null default '';
create index stagedoor_sessions_user_ref on stagedoor_sessions (user_ref, id);
create index stagedoor_sessions_subject_key on stagedoor_sessions (subject_key) where subject_key <> '';
create index stagedoor_sessions_upstream_key on stagedoor_sessions (upstream_key) where upstream_key <> '';

create table stagedoor_attempts (
    id      text   not null primary key,
    attempt bytea  not null,
    until   bigint not null
);
create index stagedoor_attempts_until on stagedoor_attempts (until);
