EXPLAIN SELECT * FROM TABLE(SESSION(TABLE bid PARTITION BY auction, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND));
EXPLAIN SELECT price, window_start, window_end FROM TABLE(SESSION(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND));
EXPLAIN CHANGELOG_MODE SELECT bidder, window_start, COUNT(*) FROM TABLE(SESSION(TABLE bid PARTITION BY auction, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND)) GROUP BY bidder, window_start, window_end;
EXPLAIN CHANGELOG_MODE SELECT auction, window_start, COUNT(*) FROM TABLE(SESSION(TABLE bid PARTITION BY auction, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND)) WHERE price > 3 GROUP BY auction, window_start, window_end;
EXPLAIN CHANGELOG_MODE SELECT auction AS a, window_start, COUNT(*) FROM TABLE(SESSION(TABLE bid PARTITION BY (auction, bidder), DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND)) GROUP BY auction, window_start, window_end;
