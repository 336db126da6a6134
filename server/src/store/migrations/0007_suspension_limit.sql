-- Wrong suspension codes of a day. The id is a part of the keyed hash of the person who was named: at most 65,536 rows.

CREATE TABLE suspension_limit (
    id BIGINT PRIMARY KEY,
    version BIGINT NOT NULL,
    sealed BYTEA NOT NULL
);
