-- Each bid with the bidder's bid before it.
CREATE TABLE sink_over_lag (
  bidder BIGINT, price BIGINT, former BIGINT, `dateTime` TIMESTAMP(3)
) WITH (${SINK:-'connector' = 'blackhole'});

INSERT INTO sink_over_lag
SELECT bidder, price, LAG(price) OVER (PARTITION BY bidder ORDER BY `dateTime`), `dateTime`
FROM bid;
