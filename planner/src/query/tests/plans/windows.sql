-- All shapes of the table function, positional and named.
EXPLAIN SELECT window_start, window_end, COUNT(*) FROM TABLE(CUMULATE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '2' MINUTE, INTERVAL '10' MINUTE)) GROUP BY window_start, window_end;
EXPLAIN SELECT auction, SUM(price) FROM TABLE(TUMBLE(DATA => TABLE bid, TIMECOL => DESCRIPTOR(`dateTime`), SIZE => INTERVAL '1' HOUR, `OFFSET` => INTERVAL '10' MINUTE)) GROUP BY window_end, auction, window_start;
EXPLAIN SELECT * FROM TABLE(HOP(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '5' SECOND, INTERVAL '10' SECOND)) WHERE auction = 7;
-- A filter on the window comes after its aggregation.
EXPLAIN SELECT window_start, window_end, MAX(price) FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND)) WHERE window_start > TIMESTAMP '2020-01-01 00:00:00' AND price > 1 GROUP BY window_start, window_end;
-- A window's bound as an argument keeps it apart too.
EXPLAIN SELECT window_start, window_end, MAX(window_time) FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND)) GROUP BY window_start, window_end;
-- A window over a window.
EXPLAIN SELECT window_start, window_end, SUM(n) FROM TABLE(TUMBLE(TABLE (SELECT window_start AS s, window_time AS rt, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, window_time), DESCRIPTOR(rt), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end;
-- A filter on the window and on the row at once keeps the function apart.
EXPLAIN SELECT window_start, window_end, MAX(price) FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND)) WHERE window_start > `dateTime` GROUP BY window_start, window_end;
-- Only one bound: an ordinary aggregation over the function.
EXPLAIN SELECT window_start, COUNT(*) FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND)) GROUP BY window_start;
-- Expressions as keys, HAVING, DISTINCT and FILTER.
EXPLAIN SELECT UPPER(channel), COUNT(DISTINCT bidder) FILTER (WHERE price > 100) AS n FROM TABLE(HOP(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '5' SECOND, INTERVAL '10' SECOND)) GROUP BY UPPER(channel), window_start, window_end HAVING COUNT(*) > 1;
-- Grouping sets beside a window.
EXPLAIN SELECT window_start, window_end, auction, bidder, GROUPING(bidder) AS g, COUNT(*) FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, GROUPING SETS ((auction, bidder), (auction), ());
-- SELECT DISTINCT over a window.
EXPLAIN SELECT DISTINCT window_start, window_end, auction FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND));
-- A session with a filter on its partition.
EXPLAIN SELECT bidder, COUNT(*) FROM TABLE(SESSION(TABLE bid PARTITION BY bidder, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND)) WHERE bidder > 5 GROUP BY bidder, window_start, window_end;
-- Sessions that cannot run.
EXPLAIN SELECT bidder, COUNT(*) FROM TABLE(SESSION(TABLE bid PARTITION BY bidder, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND)) WHERE price > 5 GROUP BY bidder, window_start, window_end;
EXPLAIN SELECT auction, COUNT(*) FROM TABLE(SESSION(TABLE bid PARTITION BY bidder, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND)) GROUP BY auction, window_start, window_end;
EXPLAIN SELECT * FROM TABLE(SESSION(TABLE bid PARTITION BY bidder, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND));
