-- How many bids on an auction in the ten seconds up to each, and the highest of them: a bounded RANGE frame.
CREATE TABLE sink_over_range (
  auction BIGINT, price BIGINT, bids BIGINT, highest BIGINT, `dateTime` TIMESTAMP(3)
) WITH (${SINK:-'connector' = 'blackhole'});

INSERT INTO sink_over_range
SELECT auction, price, COUNT(*) OVER w, MAX(price) OVER w, `dateTime`
FROM bid
WINDOW w AS (
  PARTITION BY auction ORDER BY `dateTime` RANGE BETWEEN INTERVAL '10' SECOND PRECEDING AND CURRENT ROW);
