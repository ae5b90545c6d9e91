-- The keys of plugin tokens, of the same shape as those of user tokens, and apart from them: a key serves one purpose.

-- +goose Up
create table stagedoor_plugin_keys (
    id          text   not null primary key,
    generation  bigint not null unique,
    algorithm   text   not null,
    public_jwk  bytea  not null,
    private_key bytea  not null,
    created_at  bigint not null,
    signs_from  bigint not null,
    retire_at   bigint
);
