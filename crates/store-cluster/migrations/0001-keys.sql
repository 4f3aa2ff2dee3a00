-- Each statement may be run again: a migration that was cut short is repeated from its beginning.

-- Authorization keys. The record is sealed; `ends` and `perm` repeat what it says, for those who look for rows by it.
CREATE TABLE IF NOT EXISTS heliogram_keys (
    id BIGINT NOT NULL PRIMARY KEY,
    ends INT UNSIGNED NULL COMMENT 'Unix time in seconds from which a temporary key is refused',
    perm BIGINT NULL COMMENT 'the permanent key that a temporary key is bound to',
    sealed VARBINARY(512) NOT NULL,
    KEY by_end (ends),
    KEY by_perm (perm)
) ENGINE = InnoDB;

-- Keys of which a cache may hold an older copy: bound or destroyed, and not yet taken out of it for certain.
CREATE TABLE IF NOT EXISTS heliogram_changes (
    seq BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    id BIGINT NOT NULL,
    at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
) ENGINE = InnoDB;

-- `cluster`: tells this database's entries in a cache from another's. `term`: how many terms were begun.
CREATE TABLE IF NOT EXISTS heliogram_numbers (
    name VARCHAR(32) NOT NULL PRIMARY KEY,
    value BIGINT UNSIGNED NOT NULL
) ENGINE = InnoDB;

INSERT IGNORE INTO heliogram_numbers (name, value) VALUES ('cluster', UUID_SHORT()), ('term', 0);

-- `salt`: what server salts are derived from, sealed.
CREATE TABLE IF NOT EXISTS heliogram_secrets (
    name VARCHAR(32) NOT NULL PRIMARY KEY,
    sealed VARBINARY(512) NOT NULL
) ENGINE = InnoDB;
