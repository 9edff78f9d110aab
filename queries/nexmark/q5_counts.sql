-- The counting half of q5: bids per auction in hopping windows.
CREATE TABLE sink_q5_counts (
  auction BIGINT, num BIGINT, starttime TIMESTAMP(3), endtime TIMESTAMP(3)
) WITH (${SINK:-'connector' = 'blackhole'});

INSERT INTO sink_q5_counts
SELECT auction, count(*) AS num, window_start AS starttime, window_end AS endtime
FROM TABLE(HOP(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '2' SECOND, INTERVAL '10' SECOND))
GROUP BY auction, window_start, window_end;
