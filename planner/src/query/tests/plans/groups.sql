EXPLAIN SELECT COUNT(*) FROM t;
EXPLAIN SELECT a + 1, SUM(d), AVG(b), COUNT(DISTINCT s) FROM t GROUP BY a + 1;
EXPLAIN SELECT DISTINCT a, s FROM t;
EXPLAIN SELECT a, COUNT(*) AS n FROM t WHERE b > 3 GROUP BY a HAVING COUNT(*) > 10;
EXPLAIN SELECT a, s, GROUPING_ID(a, s) AS g, MAX(b) FROM t GROUP BY CUBE (a, s);
EXPLAIN SELECT a, s, GROUPING(s) AS g, SUM(a) FROM t GROUP BY ROLLUP (a, s);
-- An aggregation of an aggregation.
EXPLAIN CHANGELOG_MODE SELECT n, COUNT(*) FROM (SELECT a, COUNT(*) AS n FROM t GROUP BY a) GROUP BY n;
-- The key of the inner aggregation determines its other columns: they are no keys of the outer one.
EXPLAIN SELECT a, SUM(n) FROM (SELECT a, COUNT(*) AS n FROM t GROUP BY a) GROUP BY a;
EXPLAIN SELECT a, COUNT(*) FILTER (WHERE b > 3), LISTAGG(s), LISTAGG(s, '-') FROM t GROUP BY a;
