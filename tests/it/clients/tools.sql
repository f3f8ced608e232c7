# What graphical clients, BI tools, drivers and ORMs ask a MySQL server when they connect and when a table is opened.
# In our own words, after what each is seen or documented to ask. One statement each, ended by a blank line; a last line
# that begins with -> names the columns that the answer must have, in order, and may end in the number of rows.

# Every driver

SELECT @@session.auto_increment_increment AS auto_increment_increment, @@character_set_client AS character_set_client, @@character_set_connection AS character_set_connection, @@character_set_results AS character_set_results, @@character_set_server AS character_set_server, @@collation_server AS collation_server, @@collation_connection AS collation_connection, @@init_connect AS init_connect, @@interactive_timeout AS interactive_timeout, @@license AS license, @@lower_case_table_names AS lower_case_table_names, @@max_allowed_packet AS max_allowed_packet, @@net_write_timeout AS net_write_timeout, @@sql_mode AS sql_mode, @@system_time_zone AS system_time_zone, @@time_zone AS time_zone

SELECT VERSION(), @@version_comment, CONNECTION_ID(), DATABASE(), USER(), CURRENT_USER()
-> VERSION(), @@version_comment, CONNECTION_ID(), DATABASE(), USER(), CURRENT_USER() (1)

SELECT @@max_allowed_packet, @@system_time_zone, @@time_zone, @@auto_increment_increment

SELECT 1 FROM DUAL
-> 1 (1)

SELECT CONCAT('a', 'b', 1) AS joined, IFNULL(NULL, 'x') AS other, LOWER('ABC'), UPPER('abc'), LENGTH('abc'), COALESCE(NULL, NULL, 'y')

SELECT 1 UNION SELECT 2
-> 1 (2)

SELECT CAST('test plain returns' AS CHAR(60)) AS anon_1
-> anon_1 (1)

SELECT CONVERT('x' USING utf8mb4), CAST(7 AS UNSIGNED) + 1 AS eight

SELECT IF(1 = 1, 'yes', 'no') AS answer, CASE WHEN 2 > 1 THEN 'more' ELSE 'less' END AS kind

SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci

SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED

SET character_set_results = NULL

SET autocommit=1, sql_mode = concat(@@sql_mode,',STRICT_TRANS_TABLES')

SHOW SESSION VARIABLES LIKE 'sql_mode'
-> Variable_name, Value (1)

SHOW VARIABLES WHERE Variable_name IN ('max_allowed_packet', 'system_time_zone', 'time_zone', 'sql_mode')
-> Variable_name, Value (4)

SHOW WARNINGS LIMIT 100
-> Level, Code, Message (0)

SHOW ERRORS

# DBeaver

SELECT DATABASE()
-> DATABASE() (1)

SHOW ENGINES
-> Engine, Support, Comment, Transactions, XA, Savepoints (1)

SHOW CHARSET

SHOW COLLATION
-> Collation, Charset, Id, Default, Compiled, Sortlen

SHOW PLUGINS

SELECT * FROM information_schema.SCHEMATA
-> CATALOG_NAME, SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME, SQL_PATH, DEFAULT_ENCRYPTION (2)

SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE 'Comet%' OR SCHEMA_NAME = 'mysql' ORDER BY SCHEMA_NAME
-> SCHEMA_NAME (1)

SHOW FULL TABLES FROM `CometQL_v1`
-> Tables, Table_type

SELECT * FROM information_schema.TABLES t WHERE t.TABLE_SCHEMA = 'CometQL_v1' AND t.TABLE_NAME = 'users_auth'
-> TABLE_CATALOG, TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, VERSION, ROW_FORMAT, TABLE_ROWS, AVG_ROW_LENGTH, DATA_LENGTH, MAX_DATA_LENGTH, INDEX_LENGTH, DATA_FREE, AUTO_INCREMENT, CREATE_TIME, UPDATE_TIME, CHECK_TIME, TABLE_COLLATION, CHECKSUM, CREATE_OPTIONS, TABLE_COMMENT (1)

SHOW TABLE STATUS FROM `CometQL_v1` LIKE 'users_auth'
-> Name, Engine, Version, Row_format, Rows, Avg_row_length, Data_length, Max_data_length, Index_length, Data_free, Auto_increment, Create_time, Update_time, Check_time, Collation, Checksum, Create_options, Comment (1)

SELECT * FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'CometQL_v1' AND TABLE_NAME = 'pipes_messages' ORDER BY ORDINAL_POSITION
-> TABLE_CATALOG, TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION, COLUMN_DEFAULT, IS_NULLABLE, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, CHARACTER_OCTET_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION, CHARACTER_SET_NAME, COLLATION_NAME, COLUMN_TYPE, COLUMN_KEY, EXTRA, PRIVILEGES, COLUMN_COMMENT, GENERATION_EXPRESSION, SRS_ID (7)

SHOW KEYS FROM `users_auth` FROM `CometQL_v1`
-> Table, Non_unique, Key_name, Seq_in_index, Column_name, Collation, Cardinality, Sub_part, Packed, Null, Index_type, Comment, Index_comment (1)

SELECT * FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = 'CometQL_v1' ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX

SELECT kc.CONSTRAINT_NAME, kc.TABLE_NAME, kc.COLUMN_NAME, kc.ORDINAL_POSITION FROM information_schema.KEY_COLUMN_USAGE kc WHERE kc.TABLE_SCHEMA = 'CometQL_v1' AND kc.REFERENCED_TABLE_NAME IS NULL AND kc.TABLE_NAME = 'users_auth' ORDER BY kc.CONSTRAINT_NAME, kc.ORDINAL_POSITION
-> CONSTRAINT_NAME, TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION (1)

SELECT kcu.*, rc.UPDATE_RULE, rc.DELETE_RULE FROM information_schema.KEY_COLUMN_USAGE kcu LEFT JOIN information_schema.REFERENTIAL_CONSTRAINTS rc ON rc.CONSTRAINT_SCHEMA = kcu.CONSTRAINT_SCHEMA AND rc.CONSTRAINT_NAME = kcu.CONSTRAINT_NAME WHERE kcu.TABLE_SCHEMA = 'CometQL_v1' AND kcu.REFERENCED_TABLE_NAME IS NOT NULL

SELECT cc.CONSTRAINT_NAME, cc.CHECK_CLAUSE, tc.TABLE_NAME FROM information_schema.CHECK_CONSTRAINTS cc INNER JOIN information_schema.TABLE_CONSTRAINTS tc ON tc.CONSTRAINT_NAME = cc.CONSTRAINT_NAME WHERE cc.CONSTRAINT_SCHEMA = 'CometQL_v1' ORDER BY tc.TABLE_NAME
-> CONSTRAINT_NAME, CHECK_CLAUSE, TABLE_NAME (0)

SELECT * FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'CometQL_v1' AND ROUTINE_TYPE IN ('PROCEDURE', 'FUNCTION') ORDER BY ROUTINE_NAME

SELECT * FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'CometQL_v1' ORDER BY TRIGGER_NAME

SELECT * FROM information_schema.EVENTS WHERE EVENT_SCHEMA = 'CometQL_v1' ORDER BY EVENT_NAME

SELECT * FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = 'CometQL_v1' AND TABLE_NAME = 'pipes' AND PARTITION_NAME IS NOT NULL

SELECT * FROM information_schema.VIEWS WHERE TABLE_SCHEMA = 'CometQL_v1' AND TABLE_NAME = 'pipes'

SHOW CREATE TABLE `CometQL_v1`.`users_auth`
-> Table, Create Table (1)

SHOW TRIGGERS FROM `CometQL_v1`
-> Trigger, Event, Table, Statement, Timing, Created, sql_mode, Definer, character_set_client, collation_connection, Database Collation (0)

SHOW GRANTS FOR CURRENT_USER()
-> Grants for root@% (2)

SELECT WORD FROM information_schema.KEYWORDS WHERE RESERVED = 1

SHOW GLOBAL STATUS
-> Variable_name, Value

SHOW GLOBAL VARIABLES
-> Variable_name, Value

# HeidiSQL

SHOW /*!50002 GLOBAL */ STATUS

SHOW VARIABLES

SELECT CONNECTION_ID()
-> CONNECTION_ID() (1)

SHOW DATABASES
-> Database (1)

SELECT `DEFAULT_COLLATION_NAME` FROM `information_schema`.`SCHEMATA` WHERE `SCHEMA_NAME`='CometQL_v1'
-> DEFAULT_COLLATION_NAME (1)

SHOW TABLE STATUS FROM `CometQL_v1`

SHOW FUNCTION STATUS WHERE `Db`='CometQL_v1'
-> Db, Name, Type, Definer, Modified, Created, Security_type, Comment, character_set_client, collation_connection, Database Collation (0)

SHOW PROCEDURE STATUS WHERE `Db`='CometQL_v1'

SELECT *, EVENT_SCHEMA AS `Db`, EVENT_NAME AS `Name` FROM information_schema.`EVENTS` WHERE `EVENT_SCHEMA`='CometQL_v1'

SHOW EVENTS FROM `CometQL_v1`

SELECT * FROM `information_schema`.`COLUMNS` WHERE TABLE_SCHEMA='CometQL_v1' AND TABLE_NAME='users_data' ORDER BY ORDINAL_POSITION

SHOW INDEXES FROM `users_data` FROM `CometQL_v1`

SELECT * FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA='CometQL_v1' AND TABLE_NAME='users_data' AND REFERENCED_TABLE_NAME IS NOT NULL

SELECT * FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA='CometQL_v1' AND TABLE_NAME='users_data' AND REFERENCED_TABLE_NAME IS NOT NULL

SELECT `CCU`.`CONSTRAINT_NAME`, `CC`.`CHECK_CLAUSE` FROM `information_schema`.`CHECK_CONSTRAINTS` AS `CC`, `information_schema`.`TABLE_CONSTRAINTS` AS `CCU` WHERE `CC`.`CONSTRAINT_NAME`=`CCU`.`CONSTRAINT_NAME` AND `CCU`.`TABLE_NAME`='users_data'

SELECT ID, USER, HOST, DB, COMMAND, TIME, STATE, LEFT(INFO, 51200) AS Info FROM `information_schema`.`PROCESSLIST` WHERE COMMAND <> 'Killed' ORDER BY ID
-> ID, USER, HOST, DB, COMMAND, TIME, STATE, Info

SHOW FULL PROCESSLIST
-> Id, User, Host, db, Command, Time, State, Info

SHOW CREATE DATABASE `CometQL_v1`
-> Database, Create Database (1)

SHOW COLLATION WHERE Charset = 'utf8mb4'

SHOW OPEN TABLES FROM `CometQL_v1` WHERE `in_use` != 0
-> Database, Table, In_use, Name_locked (0)

# MySQL Workbench

SHOW SESSION VARIABLES LIKE 'lower_case_table_names'
-> Variable_name, Value (1)

SHOW SESSION STATUS LIKE 'Ssl_cipher'
-> Variable_name, Value (0)

SELECT current_user()
-> current_user() (1)

SET SQL_SAFE_UPDATES=1

SHOW DATABASES LIKE 'Comet%'

SHOW FULL TABLES FROM `CometQL_v1` WHERE Table_type = 'BASE TABLE'

SHOW PROCEDURE STATUS WHERE Db = 'CometQL_v1'

SHOW FULL COLUMNS FROM `CometQL_v1`.`users_auth`
-> Field, Type, Collation, Null, Key, Default, Extra, Privileges, Comment (2)

SHOW INDEX FROM `CometQL_v1`.`users_auth`

SELECT st.* FROM information_schema.STATISTICS st WHERE st.TABLE_SCHEMA = 'CometQL_v1' AND st.NON_UNIQUE = 0

SELECT table_name, engine, table_rows, ROUND((data_length + index_length) / 1024 / 1024, 2) AS size_mb FROM information_schema.tables WHERE table_schema = 'CometQL_v1' ORDER BY (data_length + index_length) DESC LIMIT 10

SHOW MASTER STATUS

SHOW BINARY LOGS

SHOW SLAVE STATUS

SHOW REPLICA STATUS

SHOW BINARY LOG STATUS

SHOW PRIVILEGES
-> Privilege, Context, Comment (4)

SHOW GRANTS FOR 'root'@'%'

EXPLAIN users_auth
-> Field, Type, Null, Key, Default, Extra (2)

DESC CometQL_v1.users_time
-> Field, Type, Null, Key, Default, Extra (2)

# phpMyAdmin

SELECT @@version, @@version_comment

SELECT CURRENT_USER();

SHOW GRANTS

SELECT `SCHEMA_NAME` FROM `INFORMATION_SCHEMA`.`SCHEMATA`, (SELECT DB_first_level FROM (SELECT DISTINCT SUBSTRING_INDEX(SCHEMA_NAME, '_', 1) DB_first_level FROM INFORMATION_SCHEMA.SCHEMATA WHERE TRUE) t ORDER BY DB_first_level ASC LIMIT 0, 100) t2 WHERE TRUE AND 1 = LOCATE(CONCAT(DB_first_level, '_'), CONCAT(SCHEMA_NAME, '_')) ORDER BY SCHEMA_NAME ASC
-> SCHEMA_NAME (2)

SELECT COUNT(*) FROM (SELECT DISTINCT SUBSTRING_INDEX(SCHEMA_NAME, '_', 1) DB_first_level FROM INFORMATION_SCHEMA.SCHEMATA WHERE TRUE) t
-> COUNT(*) (1)

SELECT *, `TABLE_SCHEMA` AS `Db`, `TABLE_NAME` AS `Name`, `TABLE_TYPE` AS `TABLE_TYPE`, `ENGINE` AS `Engine`, `ENGINE` AS `Type`, `VERSION` AS `Version`, `TABLE_ROWS` AS `Rows`, `DATA_LENGTH` AS `Data_length`, `TABLE_COLLATION` AS `Collation`, `TABLE_COMMENT` AS `Comment` FROM `information_schema`.`TABLES` t WHERE `TABLE_SCHEMA` COLLATE utf8_bin IN ('CometQL_v1') AND t.`TABLE_NAME` COLLATE utf8_bin = 'users_auth' ORDER BY Name ASC

SELECT `COLUMN_NAME`, `COLUMN_TYPE`, `COLLATION_NAME`, `IS_NULLABLE`, `COLUMN_KEY`, `COLUMN_DEFAULT`, `EXTRA`, `PRIVILEGES`, `COLUMN_COMMENT` FROM `information_schema`.`COLUMNS` WHERE `TABLE_SCHEMA` COLLATE utf8_bin = 'CometQL_v1' AND `TABLE_NAME` COLLATE utf8_bin = 'users_auth'

SELECT TABLE_NAME, SUM(DATA_LENGTH + INDEX_LENGTH) AS size FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'CometQL_v1' GROUP BY TABLE_NAME HAVING size >= 0

SELECT PRIVILEGE_TYPE FROM `INFORMATION_SCHEMA`.`USER_PRIVILEGES` WHERE GRANTEE = '''root''@''%''' AND PRIVILEGE_TYPE = 'USAGE'

SELECT `TABLE_SCHEMA`, `PRIVILEGE_TYPE` FROM `INFORMATION_SCHEMA`.`SCHEMA_PRIVILEGES` UNION SELECT `TABLE_SCHEMA`, `PRIVILEGE_TYPE` FROM `INFORMATION_SCHEMA`.`TABLE_PRIVILEGES`
-> TABLE_SCHEMA, PRIVILEGE_TYPE (4)

SELECT `PLUGIN_NAME`, `PLUGIN_DESCRIPTION` FROM `information_schema`.`PLUGINS` WHERE `PLUGIN_TYPE` = 'AUTHENTICATION'

SELECT `CHARACTER_SET_NAME` AS `Charset`, `DESCRIPTION` AS `Description` FROM `information_schema`.`CHARACTER_SETS`
-> Charset, Description (4)

SELECT `CHARACTER_SET_NAME` AS `Charset`, `COLLATION_NAME` AS `Collation`, `IS_DEFAULT` AS `Default` FROM `information_schema`.`COLLATIONS`

SHOW FULL COLUMNS FROM `CometQL_v1`.`users_auth` LIKE 'hash'

SHOW INDEXES FROM `CometQL_v1`.`users_auth`

SHOW CREATE TABLE `CometQL_v1`.`pipes_messages`

# Grafana's MySQL data source

SELECT TABLE_NAME FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name
-> TABLE_NAME (15)

SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'CometQL_v1' AND table_name = 'pipes_messages' ORDER BY column_name
-> column_name, data_type (7)

SELECT quote(table_name) AS `table`, quote(column_name) AS `column`, data_type FROM information_schema.columns WHERE table_schema = IF('CometQL_v1' = '', DATABASE(), 'CometQL_v1') AND data_type IN ('timestamp', 'datetime', 'bigint', 'int', 'double', 'float') ORDER BY CASE column_name WHEN 'time' THEN 1 WHEN 'timesec' THEN 2 ELSE 9 END LIMIT 1

SELECT id AS metric, time AS time FROM users_time WHERE id IN (1, 2, 3) ORDER BY time
-> metric, time (3)

SELECT DISTINCT TABLE_SCHEMA FROM information_schema.TABLES WHERE TABLE_TYPE != 'SYSTEM VIEW' ORDER BY TABLE_SCHEMA
-> TABLE_SCHEMA (1)

# Metabase, Superset and others that ask for all columns at once

SELECT c.table_name, c.column_name, c.data_type, c.ordinal_position, kcu.constraint_name FROM information_schema.columns c LEFT JOIN information_schema.key_column_usage kcu ON c.table_schema = kcu.table_schema AND c.table_name = kcu.table_name AND c.column_name = kcu.column_name AND kcu.constraint_name = 'PRIMARY' WHERE c.table_schema NOT IN ('information_schema', 'performance_schema', 'sys', 'mysql') ORDER BY c.table_name, c.ordinal_position

# Django

SELECT column_name, data_type, character_maximum_length, numeric_precision, numeric_scale, extra, column_default, CASE WHEN collation_name = 'utf8mb4_bin' THEN NULL ELSE collation_name END AS collation_name, CASE WHEN column_type LIKE '%% unsigned' THEN 1 ELSE 0 END AS is_unsigned, column_comment FROM information_schema.columns WHERE table_name = 'users_auth' AND table_schema = DATABASE()

SELECT kc.`constraint_name`, kc.`column_name`, kc.`referenced_table_name`, kc.`referenced_column_name`, c.`constraint_type` FROM information_schema.key_column_usage AS kc, information_schema.table_constraints AS c WHERE kc.table_schema = DATABASE() AND (c.constraint_type = 'PRIMARY KEY' OR c.constraint_type = 'UNIQUE') AND c.table_schema = kc.table_schema AND c.constraint_name = kc.constraint_name AND c.table_name = kc.table_name AND kc.table_name = 'users_auth' ORDER BY kc.`ordinal_position`
-> constraint_name, column_name, referenced_table_name, referenced_column_name, constraint_type (1)

SHOW FULL TABLES

# Laravel and Doctrine

SELECT table_name AS `name`, (data_length + index_length) AS `size`, table_comment AS `comment`, engine AS `engine`, table_collation AS `collation` FROM information_schema.tables WHERE table_schema IN ('CometQL_v1') AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY table_schema, table_name
-> name, size, comment, engine, collation (15)

SELECT index_name AS `name`, GROUP_CONCAT(column_name ORDER BY seq_in_index) AS `columns`, index_type AS `type`, NOT non_unique AS `unique` FROM information_schema.statistics WHERE table_schema = SCHEMA() AND table_name = 'users_auth' GROUP BY index_name, index_type, non_unique
-> name, columns, type, unique (1)

SELECT DISTINCT k.CONSTRAINT_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME, c.UPDATE_RULE, c.DELETE_RULE FROM information_schema.key_column_usage k INNER JOIN information_schema.referential_constraints c ON c.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND c.TABLE_NAME = k.TABLE_NAME WHERE k.TABLE_SCHEMA = 'CometQL_v1' AND c.CONSTRAINT_SCHEMA = 'CometQL_v1' ORDER BY k.ORDINAL_POSITION

SELECT EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema = SCHEMA() AND table_name = 'migrations' AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')) AS `exists`
-> exists (1)

# TypeORM, Sequelize, Prisma

SELECT `SCHEMA_NAME` FROM `INFORMATION_SCHEMA`.`SCHEMATA` WHERE `SCHEMA_NAME` IN ('CometQL_v1')

SELECT * FROM `INFORMATION_SCHEMA`.`COLUMNS` WHERE TABLE_SCHEMA = 'CometQL_v1' AND TABLE_NAME = 'typeorm_metadata'

SELECT `s`.* FROM `INFORMATION_SCHEMA`.`STATISTICS` `s` LEFT JOIN (SELECT * FROM `INFORMATION_SCHEMA`.`REFERENTIAL_CONSTRAINTS`) `rc` ON `s`.`INDEX_NAME` = `rc`.`CONSTRAINT_NAME` AND `s`.`TABLE_SCHEMA` = `rc`.`CONSTRAINT_SCHEMA` WHERE `s`.`INDEX_NAME` != 'PRIMARY' AND `rc`.`CONSTRAINT_NAME` IS NULL

SELECT TABLE_NAME, TABLE_SCHEMA FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN ('MYSQL', 'INFORMATION_SCHEMA', 'PERFORMANCE_SCHEMA', 'SYS')
-> TABLE_NAME, TABLE_SCHEMA (15)

SELECT DISTINCT BINARY table_info.table_name AS table_name, table_info.create_options AS create_options, table_info.table_comment AS table_comment FROM information_schema.tables AS table_info JOIN information_schema.columns AS column_info ON BINARY column_info.table_name = BINARY table_info.table_name WHERE table_info.table_schema = 'CometQL_v1' AND column_info.table_schema = 'CometQL_v1' AND table_info.table_type = 'BASE TABLE' ORDER BY BINARY table_info.table_name
-> table_name, create_options, table_comment (15)

# Connector/J with useInformationSchema, and other drivers' metadata

SELECT TABLE_SCHEMA AS TABLE_CAT, NULL AS TABLE_SCHEM, TABLE_NAME, CASE WHEN TABLE_TYPE = 'BASE TABLE' THEN CASE WHEN TABLE_SCHEMA = 'mysql' OR TABLE_SCHEMA = 'performance_schema' THEN 'SYSTEM TABLE' ELSE 'TABLE' END WHEN TABLE_TYPE = 'TEMPORARY' THEN 'LOCAL_TEMPORARY' ELSE TABLE_TYPE END AS TABLE_TYPE, TABLE_COMMENT AS REMARKS, NULL AS TYPE_CAT, NULL AS TYPE_SCHEM, NULL AS TYPE_NAME, NULL AS SELF_REFERENCING_COL_NAME, NULL AS REF_GENERATION FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'CometQL_v1' HAVING TABLE_TYPE IN ('TABLE', 'VIEW') ORDER BY TABLE_TYPE, TABLE_SCHEMA, TABLE_NAME

SELECT SPECIFIC_NAME, PARAMETER_MODE, PARAMETER_NAME FROM INFORMATION_SCHEMA.PARAMETERS WHERE SPECIFIC_SCHEMA = 'CometQL_v1' ORDER BY SPECIFIC_NAME, ORDINAL_POSITION

# mysqldump and monitoring

SELECT LOGFILE_GROUP_NAME, FILE_NAME, TOTAL_EXTENTS, INITIAL_SIZE, ENGINE, EXTRA FROM INFORMATION_SCHEMA.FILES WHERE FILE_TYPE = 'UNDO LOG' AND FILE_NAME IS NOT NULL GROUP BY LOGFILE_GROUP_NAME, FILE_NAME, ENGINE ORDER BY LOGFILE_GROUP_NAME

SELECT VARIABLE_NAME, VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME LIKE 'encke_memory%'

SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_VARIABLES WHERE VARIABLE_NAME = 'version_comment'
-> VARIABLE_VALUE (1)

SELECT VARIABLE_VALUE FROM performance_schema.session_variables WHERE VARIABLE_NAME = 'max_allowed_packet'
-> VARIABLE_VALUE (1)

SELECT COUNT(*) AS sessions FROM information_schema.PROCESSLIST WHERE COMMAND = 'Sleep' OR TIME > 10
-> sessions (1)

SHOW ENGINE INNODB STATUS
-> Type, Name, Status (0)

# Of phpMyAdmin's and Adminer's pages, and of dumps

SELECT *, CAST(BIN_NAME AS CHAR CHARACTER SET utf8) AS SCHEMA_NAME FROM (SELECT BINARY s.SCHEMA_NAME AS BIN_NAME, s.DEFAULT_COLLATION_NAME FROM `information_schema`.SCHEMATA s GROUP BY BINARY s.SCHEMA_NAME, s.DEFAULT_COLLATION_NAME ORDER BY BINARY `SCHEMA_NAME` ASC) a
-> BIN_NAME, DEFAULT_COLLATION_NAME, SCHEMA_NAME (2)

SELECT @@max_connections
-> @@max_connections (1)

UNLOCK TABLES

# Django

SELECT VERSION(), @@sql_mode, @@default_storage_engine, @@sql_auto_is_null, @@lower_case_table_names, CONVERT_TZ('2001-01-01 01:00:00', 'UTC', 'UTC') IS NOT NULL
-> VERSION(), @@sql_mode, @@default_storage_engine, @@sql_auto_is_null, @@lower_case_table_names, CONVERT_TZ('2001-01-01 01:00:00', 'UTC', 'UTC') IS NOT NULL (1)

SET SQL_AUTO_IS_NULL = 0

SAVEPOINT `s140_x1`

RELEASE SAVEPOINT `s140_x1`

SHOW FULL TABLES

# Ruby on Rails

SET NAMES utf8mb4, @@SESSION.sql_mode = CONCAT(CONCAT(@@SESSION.sql_mode, ',STRICT_ALL_TABLES'), ',NO_AUTO_VALUE_ON_ZERO'), @@SESSION.sql_auto_is_null = 0, @@SESSION.wait_timeout = 2147483

SELECT @@SESSION.sql_mode
-> @@SESSION.sql_mode (1)

SHOW FULL FIELDS FROM `users_auth`
-> Field, Type, Collation, Null, Key, Default, Extra, Privileges, Comment (2)

SELECT table_name FROM (SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = database()) _subquery WHERE _subquery.table_type = 'BASE TABLE'
-> table_name (15)

SELECT column_name FROM information_schema.statistics WHERE index_name = 'PRIMARY' AND table_schema = database() AND table_name = 'users_auth' ORDER BY seq_in_index
-> column_name (1)

SELECT fk.referenced_table_name AS 'to_table', fk.column_name AS 'column', fk.constraint_name AS 'name', rc.update_rule AS 'on_update' FROM information_schema.referential_constraints rc JOIN information_schema.key_column_usage fk USING (constraint_schema, constraint_name) WHERE fk.referenced_column_name IS NOT NULL AND fk.table_schema = database() AND fk.table_name = 'users_auth' AND rc.constraint_schema = database() AND rc.table_name = 'users_auth'
-> to_table, column, name, on_update (0)

SELECT @@max_allowed_packet
-> @@max_allowed_packet (1)

# Doctrine and Laravel

SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ

set names 'utf8mb4' collate 'utf8mb4_unicode_ci'

set session sql_mode='ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'

SET time_zone="+00:00"

SELECT @@auto_increment_increment, @@auto_increment_offset
-> @@auto_increment_increment, @@auto_increment_offset (1)

# Entity Framework Core with Pomelo's provider

SET NAMES utf8mb4;

SET AUTOCOMMIT = 1;

SELECT VERSION();

SELECT ROW_COUNT();
-> ROW_COUNT() (1)

SELECT 1 FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'CometQL_v1' AND TABLE_NAME = '__EFMigrationsHistory'
-> 1 (0)

SELECT CASE WHEN COUNT(*) = 0 THEN FALSE ELSE TRUE END AS any_table FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = SCHEMA() AND TABLE_TYPE = 'BASE TABLE'
-> any_table (1)

# Hibernate and Spring by Connector/J

SET character_set_results = NULL

SELECT @@session.transaction_isolation

SELECT @@session.transaction_read_only
-> @@session.transaction_read_only (1)

set session transaction read only

set session transaction read write

SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED

SET SQL_SELECT_LIMIT=1000

SET SQL_SELECT_LIMIT=DEFAULT

SHOW FULL TABLES FROM `CometQL_v1` LIKE '%'

SHOW FULL COLUMNS FROM `users_auth` FROM `CometQL_v1` LIKE '%'

SELECT @@session.sql_mode, @@session.time_zone, @@session.net_write_timeout
-> @@session.sql_mode, @@session.time_zone, @@session.net_write_timeout (1)

# The crate sqlx

SET sql_mode=(SELECT CONCAT(@@sql_mode, ',PIPES_AS_CONCAT,NO_ENGINE_SUBSTITUTION')),time_zone='+00:00',NAMES utf8mb4 COLLATE utf8mb4_unicode_ci;

SELECT 'a' || 'b' AS joined
-> joined (1)

SET sql_mode = DEFAULT

SELECT DATABASE()

# Sequelize and TypeORM

SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;

START TRANSACTION;

COMMIT;

SELECT VERSION() as `version`
-> version (1)

SELECT VERSION() AS `version`, DATABASE() AS `db_name`

SELECT TABLE_NAME, COLUMN_NAME FROM `INFORMATION_SCHEMA`.`COLUMNS` WHERE TABLE_SCHEMA = 'CometQL_v1' AND COLUMN_KEY = 'PRI' ORDER BY TABLE_NAME

# Connector/ODBC of MariaDB

SET session_track_schema= ON

SET session_track_system_variables='autocommit,transaction_isolation'

SELECT @x := 1
-> @x := 1 (1)

SELECT COLUMN_NAME, CASE DATA_TYPE WHEN 'bit' THEN @dt:= IF(NUMERIC_PRECISION=1,(-7), (-2)) WHEN 'int' THEN @dt:=4 WHEN 'varchar' THEN @dt:=(-9) ELSE @dt:=(-4)END AS DATA_TYPE, CAST(CASE WHEN DATA_TYPE in ('int', 'bigint') THEN @ColSize:=NUMERIC_PRECISION ELSE @ColSize:=CHARACTER_MAXIMUM_LENGTH END AS UNSIGNED) AS COLUMN_SIZE, @tol:=CAST(CASE @dt WHEN 4 THEN 4 ELSE CHARACTER_MAXIMUM_LENGTH*4 END AS SIGNED) AS BUFFER_LENGTH, CONCAT(CHAR(39), COLUMN_NAME, CHAR(39)) AS quoted, @tol AS CHAR_OCTET_LENGTH FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = BINARY 'users_auth'
-> COLUMN_NAME, DATA_TYPE, COLUMN_SIZE, BUFFER_LENGTH, quoted, CHAR_OCTET_LENGTH (2)

SELECT 'BIT' AS TYPE_NAME, -7 AS DATA_TYPE, 1 AS COLUMN_SIZE, NULL AS CREATE_PARAMS UNION SELECT 'BOOL', -7, 1, NULL UNION SELECT 'TINYINT', -6, 3, NULL UNION SELECT 'BIGINT', -5, 19, NULL UNION SELECT 'LONGBLOB', -4, 2147483647, NULL UNION SELECT 'MEDIUMBLOB', -4, 16777215, NULL UNION SELECT 'BLOB', -4, 65535, NULL UNION SELECT 'TINYBLOB', -4, 255, NULL UNION SELECT 'VARBINARY', -3, 255, 'length' UNION SELECT 'BINARY', -2, 255, 'length' UNION SELECT 'LONGTEXT', -1, 2147483647, NULL UNION SELECT 'MEDIUMTEXT', -1, 16777215, NULL UNION SELECT 'TEXT', -1, 65535, NULL UNION SELECT 'TINYTEXT', -1, 255, NULL UNION SELECT 'CHAR', 1, 255, 'length' UNION SELECT 'NUMERIC', 2, 19, 'precision,scale' UNION SELECT 'DECIMAL', 3, 19, 'precision,scale' UNION SELECT 'INTEGER', 4, 10, NULL UNION SELECT 'INT', 4, 10, NULL UNION SELECT 'MEDIUMINT', 4, 7, NULL UNION SELECT 'SMALLINT', 5, 5, NULL UNION SELECT 'FLOAT', 6, 10, NULL UNION SELECT 'REAL', 7, 17, NULL UNION SELECT 'DOUBLE', 8, 17, NULL UNION SELECT 'DOUBLE PRECISION', 8, 17, NULL UNION SELECT 'VARCHAR', 12, 255, 'length' UNION SELECT 'ENUM', 12, 65535, NULL UNION SELECT 'SET', 12, 64, NULL UNION SELECT 'DATE', 91, 10, NULL UNION SELECT 'TIME', 92, 18, NULL UNION SELECT 'DATETIME', 93, 27, NULL UNION SELECT 'TIMESTAMP', 93, 27, NULL UNION SELECT 'YEAR', 5, 4, NULL UNION SELECT 'JSON', -1, 65535, NULL
-> TYPE_NAME, DATA_TYPE, COLUMN_SIZE, CREATE_PARAMS (34)

# DBeaver, HeidiSQL

SELECT @@session.auto_increment_increment, @@session.sql_mode, @@global.read_only, @@hostname, @@port, @@server_id, @@log_bin, @@datadir, @@version_compile_os

SET SESSION sql_mode = 'ANSI_QUOTES'

SELECT "TABLE_NAME" FROM "information_schema"."TABLES" WHERE "TABLE_SCHEMA" = 'CometQL_v1' LIMIT 1
-> TABLE_NAME (1)

SET sql_mode = ''

/*!40101 SET NAMES utf8mb4 */

SELECT NOW(), UNIX_TIMESTAMP()
-> NOW(), UNIX_TIMESTAMP() (1)

SHOW GLOBAL VARIABLES LIKE 'lower\_case\_%'

# The exporter of Prometheus

SET lock_wait_timeout=2

SELECT @@query_response_time_stats

SHOW ALL SLAVES STATUS

SELECT page_size, compress_ops, compress_ops_ok, compress_time, uncompress_ops, uncompress_time FROM information_schema.innodb_cmp
-> page_size, compress_ops, compress_ops_ok, compress_time, uncompress_ops, uncompress_time (0)

SELECT page_size, buffer_pool_instance, pages_used, pages_free, relocation_ops, relocation_time FROM information_schema.innodb_cmpmem

SELECT COUNT(*) FROM information_schema.innodb_trx
-> COUNT(*) (1)

# mysqldump, mydumper and the heads of their dumps

SET SESSION NET_READ_TIMEOUT= 86400, SESSION NET_WRITE_TIMEOUT= 86400

/*!80000 SET SESSION information_schema_stats_expiry=0 */

/*!40100 SET @@SQL_MODE='' */

SET SQL_QUOTE_SHOW_CREATE=1

START TRANSACTION /*!40108 WITH CONSISTENT SNAPSHOT */

SHOW VARIABLES LIKE 'gtid\_mode'
-> Variable_name, Value (1)

SET SESSION character_set_results = 'binary'

SAVEPOINT sp

ROLLBACK TO SAVEPOINT sp

RELEASE SAVEPOINT sp

/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;

/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;

/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;

/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;

/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;

/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;

/*!40103 SET TIME_ZONE='+00:00' */;

SET @saved_cs_client = @@character_set_client

SET character_set_client = utf8mb4

SET character_set_client = @saved_cs_client

/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;

/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;

/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;

/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;

/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;

/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;

ROLLBACK

UNLOCK TABLES

# What some choose first; the others name it with each table

USE information_schema

SHOW CREATE DATABASE information_schema
-> Database, Create Database (1)
