-- Who has logged in with a key, for backends that do not keep it. A row goes with its key.
CREATE TABLE IF NOT EXISTS heliogram_users (
    id BIGINT NOT NULL PRIMARY KEY,
    user_id BIGINT NOT NULL
) ENGINE = InnoDB;
