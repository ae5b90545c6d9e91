-- One folder for SQLite and PostgreSQL: text, bigint and bytea only. SQLite does not know bytea, gives such a column the
-- affinity NUMERIC, and stores a blob in it as the blob it is. Times are milliseconds since 1970 in UTC.
--
-- Every name begins with stagedoor_, because the database may be the one where Backstage's own auth plugin keeps tables
-- called sessions, signing_keys and user_info.

-- +goose Up
create table stagedoor_sessions (
    id           text   not null primary key,
    provider     text   not null,
    env          text   not null,
    user_ref     text   not null,
    scope        text   not null,
    tokens       bytea  not null,
    created_at   bigint not null,
    used_at      bigint not null,
    refreshed_at bigint not null,
    expires_at   bigint not null,
    lease_owner  text   not null default '',
    lease_until  bigint not null default 0
);
create index stagedoor_sessions_expires_at on stagedoor_sessions (expires_at);
create index stagedoor_sessions_used_at on stagedoor_sessions (used_at);

create table stagedoor_adoptions (
    session_id text   not null primary key,
    until      bigint not null
);
create index stagedoor_adoptions_until on stagedoor_adoptions (until);

create table stagedoor_transactions (
    id    text   not null primary key,
    until bigint not null
);
create index stagedoor_transactions_until on stagedoor_transactions (until);

create table stagedoor_user_info (
    user_ref text  not null primary key,
    info     bytea not null
);

create table stagedoor_signing_keys (
    id          text   not null primary key,
    generation  bigint not null unique,
    algorithm   text   not null,
    public_jwk  bytea  not null,
    private_key bytea  not null,
    created_at  bigint not null,
    signs_from  bigint not null,
    retire_at   bigint
);
