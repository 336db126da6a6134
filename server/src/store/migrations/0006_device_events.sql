-- What happened to a person's phones, for the person. The id is the person, a colon and the number in twenty digits, so that the primary
-- key is the index over both.

CREATE TABLE device_event (
    id TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    sealed BYTEA NOT NULL
);
