-- The other side of q5: the largest count of each hopping window, an aggregation over windows that are already there.
CREATE TABLE sink_q5_max (
  maxn BIGINT, starttime TIMESTAMP(3), endtime TIMESTAMP(3)
) WITH (${SINK:-'connector' = 'blackhole'});

INSERT INTO sink_q5_max
SELECT max(CountBids.num) AS maxn, CountBids.starttime, CountBids.endtime
FROM (
  SELECT count(*) AS num, window_start AS starttime, window_end AS endtime
  FROM TABLE(HOP(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '2' SECOND, INTERVAL '10' SECOND))
  GROUP BY auction, window_start, window_end
) AS CountBids
GROUP BY CountBids.starttime, CountBids.endtime;
