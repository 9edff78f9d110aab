CREATE TABLE append_only (a INT, n BIGINT) WITH ('connector' = 'test', 'sink' = 'I');
CREATE TABLE by_key (a INT, n BIGINT, PRIMARY KEY (a) NOT ENFORCED) WITH ('connector' = 'test', 'sink' = 'upsert');
CREATE TABLE by_other_key (a INT, n BIGINT, PRIMARY KEY (n) NOT ENFORCED) WITH ('connector' = 'test', 'sink' = 'upsert');
CREATE TABLE anything (a INT, n BIGINT) WITH ('connector' = 'test');
EXPLAIN CHANGELOG_MODE INSERT INTO append_only SELECT a, COUNT(*) FROM t GROUP BY a;
EXPLAIN CHANGELOG_MODE INSERT INTO append_only SELECT k, COUNT(*) FROM changes GROUP BY k;
EXPLAIN CHANGELOG_MODE INSERT INTO append_only SELECT k, v FROM changes;
EXPLAIN CHANGELOG_MODE INSERT INTO by_key SELECT a, COUNT(*) FROM t GROUP BY a;
EXPLAIN CHANGELOG_MODE INSERT INTO by_key SELECT a, COUNT(*) FROM t GROUP BY a HAVING COUNT(*) > 1;
EXPLAIN CHANGELOG_MODE INSERT INTO by_other_key SELECT a, COUNT(*) FROM t GROUP BY a;
EXPLAIN CHANGELOG_MODE INSERT INTO anything SELECT a, COUNT(*) FROM t GROUP BY a;
EXPLAIN CHANGELOG_MODE INSERT INTO append_only SELECT DISTINCT a, b FROM t;
EXPLAIN CHANGELOG_MODE INSERT INTO append_only SELECT k, SUM(v) FROM TABLE(TUMBLE(TABLE changes, DESCRIPTOR(ts), INTERVAL '1' HOUR)) GROUP BY k, window_start, window_end;
EXPLAIN CHANGELOG_MODE SELECT * FROM changes LIMIT 3;
EXPLAIN CHANGELOG_MODE SELECT * FROM TABLE(TUMBLE(TABLE changes, DESCRIPTOR(ts), INTERVAL '1' HOUR));
EXPLAIN JSON_EXECUTION_PLAN SELECT a, COUNT(*) FROM t GROUP BY a;
EXPLAIN ESTIMATED_COST SELECT a FROM t;
-- Changelogs that are made whole.
CREATE TABLE upserts (id INT, name STRING, price INT, PRIMARY KEY (id) NOT ENFORCED)
  WITH ('connector' = 'test', 'scan' = 'upsert');
CREATE TABLE upserts_without_key (id INT, price INT) WITH ('connector' = 'test', 'scan' = 'upsert');
CREATE TABLE keyed_changes (id INT, name STRING, price INT, PRIMARY KEY (id) NOT ENFORCED)
  WITH ('connector' = 'test', 'scan' = 'all');
EXPLAIN CHANGELOG_MODE SELECT name, price FROM upserts WHERE price > 5;
EXPLAIN CHANGELOG_MODE SELECT price FROM upserts WHERE price > RAND();
EXPLAIN CHANGELOG_MODE SELECT name, COUNT(*) FROM upserts GROUP BY name;
EXPLAIN CHANGELOG_MODE SELECT a.price, b.price FROM upserts a JOIN upserts b ON a.id = b.id WHERE a.price > 5;
EXPLAIN CHANGELOG_MODE SELECT price FROM upserts_without_key;
SET 'table.exec.source.cdc-events-duplicate' = 'true';
EXPLAIN CHANGELOG_MODE SELECT id, price FROM keyed_changes;
EXPLAIN CHANGELOG_MODE SELECT v FROM changes;
EXPLAIN CHANGELOG_MODE SELECT a FROM t;
RESET 'table.exec.source.cdc-events-duplicate';
-- Sinks by key.
CREATE TABLE by_name (name STRING, price INT, PRIMARY KEY (name) NOT ENFORCED) WITH ('connector' = 'test', 'keyed' = 'true');
CREATE TABLE by_id (id INT, price INT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'test', 'keyed' = 'true');
CREATE TABLE by_both (id INT, name STRING, PRIMARY KEY (id, name) NOT ENFORCED) WITH ('connector' = 'test', 'keyed' = 'true');
CREATE TABLE upserts_by_both (id INT, name STRING, PRIMARY KEY (id, name) NOT ENFORCED) WITH ('connector' = 'test', 'sink' = 'upsert');
CREATE TABLE retracts_by_name (name STRING, price INT, PRIMARY KEY (name) NOT ENFORCED) WITH ('connector' = 'test');
EXPLAIN CHANGELOG_MODE INSERT INTO by_name SELECT name, price FROM keyed_changes;
EXPLAIN CHANGELOG_MODE INSERT INTO by_id SELECT id, price FROM keyed_changes;
EXPLAIN CHANGELOG_MODE INSERT INTO by_both SELECT id, name FROM keyed_changes;
EXPLAIN CHANGELOG_MODE INSERT INTO upserts_by_both SELECT id, name FROM keyed_changes;
EXPLAIN CHANGELOG_MODE INSERT INTO retracts_by_name SELECT name, price FROM keyed_changes;
EXPLAIN CHANGELOG_MODE INSERT INTO by_name SELECT 'x', price FROM keyed_changes;
-- A rank that is not shown moves from row to row.
EXPLAIN CHANGELOG_MODE INSERT INTO by_key SELECT a, COUNT(*) AS n FROM t GROUP BY a ORDER BY n DESC LIMIT 2 OFFSET 1;
-- The condition that leaves NULL out has a projection put between the order and its limit.
SET 'table.exec.sink.not-null-enforcer' = 'DROP';
EXPLAIN CHANGELOG_MODE INSERT INTO by_id SELECT price, CAST(COUNT(*) AS INT) FROM (SELECT id, name, price FROM keyed_changes ORDER BY name, id LIMIT 5 OFFSET 3) AS t GROUP BY price;
RESET 'table.exec.sink.not-null-enforcer';
-- The row of an id may leave one subtask and come to another.
EXPLAIN CHANGELOG_MODE INSERT INTO by_id SELECT id, price FROM (SELECT id, price, ROW_NUMBER() OVER (PARTITION BY price ORDER BY name) AS place FROM keyed_changes) AS t WHERE place <= 2;
EXPLAIN CHANGELOG_MODE INSERT INTO by_id SELECT a.id, a.price FROM keyed_changes AS a LEFT JOIN keyed_changes AS b ON a.price = b.id;
EXPLAIN CHANGELOG_MODE INSERT INTO by_id SELECT a, CAST(b AS INT) FROM t;
SET 'table.exec.sink.upsert-materialize' = 'FORCE';
EXPLAIN CHANGELOG_MODE INSERT INTO by_id SELECT a, CAST(b AS INT) FROM t;
SET 'table.exec.sink.upsert-materialize' = 'NONE';
EXPLAIN CHANGELOG_MODE INSERT INTO by_name SELECT name, price FROM keyed_changes;
EXPLAIN CHANGELOG_MODE INSERT INTO by_other_key SELECT id, CAST(price AS BIGINT) FROM keyed_changes;
SET 'table.exec.sink.keyed-shuffle' = 'FORCE';
SET 'table.exec.sink.not-null-enforcer' = 'DROP';
EXPLAIN CHANGELOG_MODE INSERT INTO by_id SELECT a, CAST(b AS INT) FROM t;

RESET 'table.exec.sink.keyed-shuffle';
RESET 'table.exec.sink.not-null-enforcer';
-- Rows of one primary key.
CREATE TABLE upserts_by_name (name STRING, price INT, PRIMARY KEY (name) NOT ENFORCED) WITH ('connector' = 'test', 'sink' = 'upsert');
CREATE TABLE timed (name STRING, price INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'test');
CREATE TABLE of_windows (name STRING, starts TIMESTAMP(3), ends TIMESTAMP(3), n BIGINT, PRIMARY KEY (name, starts) NOT ENFORCED) WITH ('connector' = 'test', 'sink' = 'upsert');
EXPLAIN CHANGELOG_MODE INSERT INTO by_name SELECT name, price FROM keyed_changes ON CONFLICT DO NOTHING;
RESET 'table.exec.sink.upsert-materialize';
EXPLAIN CHANGELOG_MODE INSERT INTO by_name SELECT name, price FROM keyed_changes ON CONFLICT DO NOTHING;
EXPLAIN CHANGELOG_MODE INSERT INTO by_name SELECT name, price FROM keyed_changes ON CONFLICT DO DEDUPLICATE;
EXPLAIN CHANGELOG_MODE INSERT INTO upserts_by_name SELECT name, price FROM timed ON CONFLICT DO DEDUPLICATE;
EXPLAIN CHANGELOG_MODE INSERT INTO upserts_by_name SELECT name, price FROM timed ON CONFLICT DO ERROR;
EXPLAIN CHANGELOG_MODE INSERT INTO upserts_by_name SELECT name, CAST(COUNT(*) AS INT) FROM timed GROUP BY name ON CONFLICT DO ERROR;
EXPLAIN CHANGELOG_MODE INSERT INTO upserts_by_name SELECT MAX(name), price FROM timed GROUP BY price ON CONFLICT DO NOTHING;
EXPLAIN CHANGELOG_MODE INSERT INTO of_windows SELECT name, window_start, window_end, COUNT(*) FROM TUMBLE(TABLE timed, DESCRIPTOR(ts), INTERVAL '1' HOUR) GROUP BY name, window_start, window_end ON CONFLICT DO ERROR;
EXPLAIN CHANGELOG_MODE INSERT INTO of_windows SELECT name, window_start, window_end, COUNT(*) FROM CUMULATE(TABLE timed, DESCRIPTOR(ts), INTERVAL '1' HOUR, INTERVAL '1' DAY) GROUP BY name, window_start, window_end ON CONFLICT DO ERROR;
EXPLAIN CHANGELOG_MODE INSERT INTO retracts_by_name SELECT name, price FROM timed ON CONFLICT DO NOTHING;
EXPLAIN CHANGELOG_MODE INSERT INTO anything SELECT price, 1 FROM timed ON CONFLICT DO DEDUPLICATE;
SET 'table.exec.sink.require-on-conflict' = 'true';
EXPLAIN CHANGELOG_MODE INSERT INTO upserts_by_name SELECT name, price FROM timed;
EXPLAIN CHANGELOG_MODE INSERT INTO by_name SELECT name, price FROM keyed_changes;
EXPLAIN CHANGELOG_MODE INSERT INTO by_name SELECT name, price FROM timed;
