-- Schema of the MySQL/MariaDB storage engine.
--
-- The MySQL engine makes the tables that are missing as they stand here. Tables, columns and primary keys are those of a
-- CppComet 4.09 database, so either server can be pointed at the other's; pipes_begun and pipes_keys are ours alone, and CppComet
-- does not mind them.
--
-- To make them by hand, load it into a database of its own, as often as you like; what is there already is left as it is:
--
--     mysql -e 'CREATE DATABASE comet'
--     mysql comet < db.sql
--
-- What differs from a database that CppComet made, and why either server can live with it:
--
-- * Text is utf8mb4. With the 3-byte utf8 of old, every emoji was stored as four question marks. (A table that exists
--   already is brought there by ALTER TABLE ... CONVERT TO CHARACTER SET utf8mb4.)
-- * Messages and data may be longer than the 65,535 bytes at which TEXT ends. (ALTER TABLE ... MODIFY message MEDIUMTEXT ...)
-- * Names, hashes and tokens compare byte by byte (binary collations), as the server does: pipe `News` is not `news`.
-- * Secondary indexes are those that queues and histories are read by: tenant, user or pipe, time; and time for expiry.
--   (Without the one of revoked_tokens all tokens are looked at once a minute: ALTER TABLE revoked_tokens ADD KEY (time).)
-- * Messages in queues and histories may expire: column `expires`, in unix seconds, 0 for never. The server adds it to tables that
--   do not have it, so it needs the right to ALTER them once. It has a default and is invisible to whoever writes whole rows, where
--   the database knows such columns.
-- * Users' last visits are kept on disk; engine MEMORY forgot them whenever the database was restarted.
--
-- Every key of a tenant's table begins with dev_id, so no lookup can reach another tenant's rows.

SET NAMES utf8mb4;

-- Users

-- The secret that a user logs in with, at most one each.
CREATE TABLE IF NOT EXISTS users_auth (
    dev_id INT NOT NULL,
    user_id INT NOT NULL,
    hash CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    PRIMARY KEY (dev_id, user_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- Unix time of a user's last disconnect; 0 while online.
CREATE TABLE IF NOT EXISTS users_time (
    dev_id INT NOT NULL,
    user_id INT NOT NULL,
    time INT NOT NULL,
    PRIMARY KEY (dev_id, user_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- A text that a backend keeps about a user. Browsers of the same tenant may read it.
CREATE TABLE IF NOT EXISTS users_data (
    dev_id INT NOT NULL,
    user_id INT NOT NULL,
    data MEDIUMTEXT NOT NULL,
    PRIMARY KEY (dev_id, user_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- The offline queue: personal messages that found no connection. The id is a UUID as text; its order means nothing.
CREATE TABLE IF NOT EXISTS users_messages (
    id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    time INT NOT NULL,
    dev_id INT NOT NULL,
    user_id INT NOT NULL,
    event CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    message MEDIUMTEXT NOT NULL,
    expires INT /*M!100303 INVISIBLE */ NOT NULL DEFAULT 0,
    PRIMARY KEY (id),
    KEY dev_user_time (dev_id, user_id, time),
    KEY time (time),
    KEY expires (expires)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- JWTs that must not log anybody in any more. Binary, since a token is compared as it was sent. The time is when the token
-- ends by itself, after which its row goes; 9999999, which CppComet writes into every row, stands for never.
CREATE TABLE IF NOT EXISTS revoked_tokens (
    dev_id INT NOT NULL,
    token VARBINARY(600) NOT NULL,
    time INT NOT NULL,
    PRIMARY KEY (dev_id, token),
    KEY time (time)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4;

-- Pipes

-- How many publications a pipe keeps. The type is always 0.
CREATE TABLE IF NOT EXISTS pipes_settings (
    dev_id INT NOT NULL,
    name CHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    type CHAR(1) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '0',
    length INT NOT NULL,
    PRIMARY KEY (dev_id, name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- Behind which position the history of a pipe is whole, so that a browser that comes back can be told whether it gets all
-- that it missed. A pipe without a row was never cut but at its length. Rows of dev_id -1 are about the whole database.
CREATE TABLE IF NOT EXISTS pipes_begun (
    dev_id INT NOT NULL,
    name CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    begun BIGINT NOT NULL,
    PRIMARY KEY (dev_id, name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- Keys under which backends published into histories in the last five minutes, so that the same publication again is known
-- after a restart.
CREATE TABLE IF NOT EXISTS pipes_keys (
    dev_id INT NOT NULL,
    name CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    idempotency_key VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    time INT NOT NULL,
    PRIMARY KEY (dev_id, name, idempotency_key),
    KEY time (time)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- The history of pipes. user_id is who published it, 0 for a backend.
CREATE TABLE IF NOT EXISTS pipe_messages (
    id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    time INT NOT NULL,
    dev_id INT NOT NULL,
    pipe_name CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    event CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    message MEDIUMTEXT NOT NULL,
    user_id INT NOT NULL,
    expires INT /*M!100303 INVISIBLE */ NOT NULL DEFAULT 0,
    PRIMARY KEY (id),
    KEY dev_pipe_time (dev_id, pipe_name, time),
    KEY time (time),
    KEY expires (expires)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- Calls: who is invited to which, and the media server it runs on.
CREATE TABLE IF NOT EXISTS conference (
    dev_id INT NOT NULL,
    name VARCHAR(32) COLLATE utf8mb4_bin NOT NULL,
    user_id INT NOT NULL,
    caller_id INT NOT NULL,
    message MEDIUMTEXT NOT NULL,
    profile VARCHAR(32) NOT NULL,
    stream VARCHAR(255) NOT NULL,
    node VARCHAR(64) NOT NULL,
    time INT NOT NULL,
    PRIMARY KEY (dev_id, name, user_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- Records that are only written

-- One row per start of a node.
CREATE TABLE IF NOT EXISTS log_event (
    id INT NOT NULL AUTO_INCREMENT,
    text VARCHAR(250) NOT NULL,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- CometQL queries, if that is switched on. CppComet wrote them with all secrets in them; the import leaves them behind.
CREATE TABLE IF NOT EXISTS log_query (
    id INT NOT NULL AUTO_INCREMENT,
    dev_id INT NOT NULL,
    query TEXT NOT NULL,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- Keys and origins of a hosted product. CppComet 4.09 neither read nor wrote it and nor do we; it is here so that a dump
-- of such a database can be loaded.
CREATE TABLE IF NOT EXISTS dev_config (
    id INT NOT NULL AUTO_INCREMENT,
    `key` CHAR(64) NOT NULL,
    url CHAR(255) NOT NULL DEFAULT '*',
    active_time INT NOT NULL,
    PRIMARY KEY (id)
) ENGINE = InnoDB AUTO_INCREMENT = 20001 DEFAULT CHARACTER SET utf8mb4;
