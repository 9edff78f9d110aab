-- The aggregating half of q7: the highest bid of each ten seconds.
CREATE TABLE sink_q7_max (
  maxprice BIGINT, `dateTime` TIMESTAMP(3)
) WITH (${SINK:-'connector' = 'blackhole'});

INSERT INTO sink_q7_max
SELECT MAX(price) AS maxprice, window_end AS `dateTime`
FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND))
GROUP BY window_start, window_end;
