-- What a server was started with last, for the next one to compare itself with.

-- +goose Up
create table stagedoor_settings (
    name  text not null primary key,
    value text not null
);
