-- The mean price of the last ten bids on an auction: a bounded ROWS frame.
CREATE TABLE sink_over_rows (
  auction BIGINT, price BIGINT, mean BIGINT, `dateTime` TIMESTAMP(3)
) WITH (${SINK:-'connector' = 'blackhole'});

INSERT INTO sink_over_rows
SELECT auction, price,
  AVG(price) OVER (PARTITION BY auction ORDER BY `dateTime` ROWS BETWEEN 9 PRECEDING AND CURRENT ROW),
  `dateTime`
FROM bid;
