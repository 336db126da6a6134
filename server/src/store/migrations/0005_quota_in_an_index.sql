-- What a quota counts stands in the index: no row is read for it.

DROP INDEX challenge_of_subject;
CREATE INDEX challenge_of_subject ON challenge (subject_id, created_at, relying_party_id);
