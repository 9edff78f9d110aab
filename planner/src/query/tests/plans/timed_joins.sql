CREATE TABLE versions (auction BIGINT, kept BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts, PRIMARY KEY (auction) NOT ENFORCED)
  WITH ('connector' = 'test', 'scan' = 'all');

-- the bounds of the interval come from either side, and from an equality
EXPLAIN CHANGELOG_MODE SELECT x.price, y.price FROM bid x LEFT JOIN bid y ON x.auction = y.auction
  AND y.`dateTime` BETWEEN x.`dateTime` - INTERVAL '5' SECOND AND x.`dateTime` + INTERVAL '1' MINUTE;
EXPLAIN CHANGELOG_MODE SELECT x.price, y.price FROM bid x JOIN bid y ON x.bidder = y.auction AND x.`dateTime` = y.`dateTime`;

-- one bound is none
EXPLAIN CHANGELOG_MODE SELECT x.price, y.price FROM bid x JOIN bid y ON x.auction = y.auction AND x.`dateTime` < y.`dateTime`;

EXPLAIN CHANGELOG_MODE SELECT x.price FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND)) x
  WHERE x.auction NOT IN (
    SELECT y.bidder FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND)) y
    WHERE x.window_start = y.window_start AND x.window_end = y.window_end AND y.bidder IS NOT NULL);

EXPLAIN CHANGELOG_MODE SELECT b.price, v.kept FROM bid b JOIN versions FOR SYSTEM_TIME AS OF b.`dateTime` AS v ON b.auction = v.auction AND v.kept > 3;

EXPLAIN CHANGELOG_MODE SELECT window_end, price FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY price DESC) AS rn
  FROM TABLE(HOP(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '5' SECOND, INTERVAL '10' SECOND))) WHERE rn <= 3;
