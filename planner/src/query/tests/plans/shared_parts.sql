CREATE TABLE out1 (auction BIGINT, n BIGINT) WITH ('connector' = 'test');
CREATE TABLE out2 (n BIGINT) WITH ('connector' = 'test');
CREATE TABLE out3 (price BIGINT, channel STRING) WITH ('connector' = 'test');
EXPLAIN STATEMENT SET BEGIN
INSERT INTO out1 SELECT auction, COUNT(*) FROM TABLE(HOP(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '2' SECOND, INTERVAL '10' SECOND)) GROUP BY auction, window_start, window_end;
INSERT INTO out2 SELECT MAX(n) FROM (SELECT COUNT(*) AS n, window_start, window_end FROM TABLE(HOP(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '2' SECOND, INTERVAL '10' SECOND)) GROUP BY auction, window_start, window_end) GROUP BY window_start, window_end;
INSERT INTO out3 SELECT price, channel FROM bid WHERE price > 100;
END;
