-- Bids of one bidder that rise three times or more in a row, within ten seconds: MATCH_RECOGNIZE.
CREATE TABLE sink_match (
  bidder BIGINT, since TIMESTAMP(3), bids BIGINT, lowest BIGINT, highest BIGINT
) WITH (${SINK:-'connector' = 'blackhole'});

INSERT INTO sink_match
SELECT * FROM bid MATCH_RECOGNIZE (
  PARTITION BY bidder
  ORDER BY `dateTime`
  MEASURES
    A.`dateTime` AS since,
    COUNT(B.price) + 1 AS bids,
    A.price AS lowest,
    LAST(B.price) AS highest
  ONE ROW PER MATCH
  AFTER MATCH SKIP PAST LAST ROW
  PATTERN (A B{3,} C) WITHIN INTERVAL '10' SECOND
  DEFINE
    B AS B.price > COALESCE(LAST(B.price, 1), A.price),
    C AS C.price <= LAST(B.price)
);
