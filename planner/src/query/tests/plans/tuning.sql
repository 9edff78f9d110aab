-- Hints.
CREATE TABLE o (id INT, k STRING, v INT) WITH ('connector' = 'test');
CREATE TABLE s (oid INT, w INT) WITH ('connector' = 'test');
EXPLAIN SELECT /*+ STATE_TTL('o' = '1 d', 's' = '12 h') */ o.k, s.w FROM o LEFT JOIN s ON o.id = s.oid WHERE s.w > 1;
EXPLAIN SELECT /*+ STATE_TTL('a' = '1 d') */ a.k, b.w FROM o AS a JOIN s AS b ON a.id = b.oid;
EXPLAIN SELECT /*+ STATE_TTL('o' = '1 d', 's' = '12 h', 'c' = '1 h') */ o.k, c.w FROM o JOIN s ON o.id = s.oid JOIN s AS c ON s.oid = c.oid;
EXPLAIN SELECT /*+ STATE_TTL('q' = '1 d') */ k, COUNT(*) FROM (SELECT k, v + 1 AS v FROM o) AS q WHERE v > 3 GROUP BY k;
EXPLAIN SELECT /*+ STATE_TTL('o' = '0 s') */ k, COUNT(*) FROM o GROUP BY k;
EXPLAIN SELECT /*+ STATE_TTL('bid' = '1 d') */ auction, COUNT(*) FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '1' HOUR)) AS bid GROUP BY auction, window_start, window_end;
-- Mini-batches.
SET 'table.exec.mini-batch.enabled' = 'true';
EXPLAIN SELECT k, COUNT(*) FROM o GROUP BY k;
SET 'table.exec.mini-batch.allow-latency' = '1 s';
EXPLAIN SELECT k, COUNT(*) FROM o GROUP BY k;
SET 'table.exec.mini-batch.size' = '100';
EXPLAIN SELECT k, COUNT(*), MAX(v) FROM o GROUP BY k;
SET 'parallelism.default' = '2';
EXPLAIN CHANGELOG_MODE SELECT k, COUNT(*), MAX(v) FROM o GROUP BY k;
EXPLAIN SELECT COUNT(*) FROM o;
EXPLAIN SELECT k, COUNT(DISTINCT v) FROM o GROUP BY k;
EXPLAIN CHANGELOG_MODE SELECT k, SUM(v), AVG(v) FROM changes GROUP BY k;
EXPLAIN CHANGELOG_MODE SELECT k, MAX(v) FROM changes GROUP BY k;
SET 'table.optimizer.agg-phase-strategy' = 'ONE_PHASE';
EXPLAIN SELECT k, COUNT(*) FROM o GROUP BY k;
SET 'table.optimizer.agg-phase-strategy' = 'TWO_PHASE';
SET 'parallelism.default' = '1';
EXPLAIN SELECT k AS key_of, k AS again, COUNT(*) FROM o GROUP BY k;
