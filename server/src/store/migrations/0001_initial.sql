-- Every table but `meta`, `keyset` and `verdict_sequence` holds sealed records: `sealed` carries all facts of the row, the clear
-- columns repeat those that queries need and are compared with the sealed ones on every read. Times are Unix seconds.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value BYTEA NOT NULL
);

CREATE TABLE keyset (
    version BIGINT PRIMARY KEY,
    statement TEXT NOT NULL
);

CREATE TABLE subject (
    id TEXT PRIMARY KEY,
    lookup BYTEA,
    version BIGINT NOT NULL,
    sealed BYTEA NOT NULL
);
CREATE INDEX subject_by_lookup ON subject (lookup);

CREATE TABLE enrolment_case (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('open', 'verified', 'countersigned', 'rejected', 'issued', 'enrolled')),
    opened_by TEXT NOT NULL,
    opened_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    sealed BYTEA NOT NULL
);

CREATE TABLE activation (
    id TEXT PRIMARY KEY,
    subject_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('issued', 'begun', 'awaiting_confirmation', 'confirmed', 'revoked', 'expired')),
    expires_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    sealed BYTEA NOT NULL
);
CREATE INDEX activation_open ON activation (expires_at) WHERE state IN ('issued', 'begun', 'awaiting_confirmation');

CREATE TABLE device (
    id TEXT PRIMARY KEY,
    subject_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('awaiting_confirmation', 'quarantined', 'active', 'locked', 'revoked')),
    due_at BIGINT,
    version BIGINT NOT NULL,
    sealed BYTEA NOT NULL
);
CREATE INDEX device_by_subject ON device (subject_id);
CREATE INDEX device_due ON device (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE relying_party (
    id TEXT PRIMARY KEY,
    certificate_sha256 TEXT UNIQUE,
    version BIGINT NOT NULL,
    sealed BYTEA NOT NULL
);

CREATE TABLE verdict_sequence (
    relying_party_id TEXT PRIMARY KEY,
    last_number BIGINT NOT NULL
);

CREATE TABLE pairwise (
    id TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    sealed BYTEA NOT NULL
);

CREATE TABLE block (
    id TEXT PRIMARY KEY,
    subject_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    sealed BYTEA NOT NULL
);
CREATE INDEX block_by_subject ON block (subject_id);

CREATE TABLE challenge (
    id TEXT PRIMARY KEY,
    relying_party_id TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('pending', 'approved', 'denied', 'reported', 'expired', 'cancelled', 'superseded', 'failed')),
    created_at BIGINT NOT NULL,
    subject_number BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    verdict_number BIGINT,
    version BIGINT NOT NULL,
    sealed BYTEA NOT NULL,
    UNIQUE (relying_party_id, idempotency_key)
);
CREATE INDEX challenge_pending ON challenge (expires_at) WHERE state = 'pending';
CREATE INDEX challenge_of_device ON challenge (device_id) WHERE state = 'pending';
CREATE INDEX challenge_of_subject ON challenge (subject_id, created_at);
CREATE UNIQUE INDEX challenge_in_order ON challenge (subject_id, subject_number);
CREATE INDEX challenge_verdicts ON challenge (relying_party_id, verdict_number) WHERE verdict_number IS NOT NULL;

CREATE TABLE operator (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('active', 'disabled')),
    version BIGINT NOT NULL,
    sealed BYTEA NOT NULL
);

CREATE TABLE terminal (
    id TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    sealed BYTEA NOT NULL
);

CREATE TABLE session (
    id TEXT PRIMARY KEY,
    operator_id TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    sealed BYTEA NOT NULL
);
CREATE INDEX session_by_operator ON session (operator_id);
CREATE INDEX session_by_expiry ON session (expires_at);

CREATE TABLE audit (
    id BIGINT PRIMARY KEY,
    version BIGINT NOT NULL,
    sealed BYTEA NOT NULL
);
