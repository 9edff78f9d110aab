-- Aircraft that fell behind further and further: three or more departures in a row, each later than the one before it,
-- until one was less late. Real data: January 2013, out of order.
--
--     weir run queries/delays.sql
--
-- Run it from the repository's root: paths are relative to where weir runs.

CREATE TABLE flights (
  `year` INT, `month` INT, `day` INT,
  dep_time INT, sched_dep_time INT, dep_delay INT,
  arr_time INT, sched_arr_time INT, arr_delay INT,
  carrier STRING, flight INT, tailnum STRING, origin STRING, dest STRING,
  air_time INT, distance INT, `hour` INT, `minute` INT, time_hour STRING,
  scheduled AS TIMESTAMPADD(MINUTE, `minute`, TO_TIMESTAMP(time_hour, 'yyyy-MM-dd''T''HH:mm:ss''Z''')),
  -- Rows come in the order of the actual departure, and a day's cancelled flights at its end: up to 19 hours behind.
  WATERMARK FOR scheduled AS scheduled - INTERVAL '20' HOUR
) WITH (
  'connector' = 'filesystem',
  'path' = 'queries/data/flights-2013-01.csv.gz',
  'format' = 'csv',
  'csv.null-literal' = 'NA',
  'csv.ignore-first-line' = 'true'
);

CREATE TABLE falling_behind (
  tailnum STRING, since TIMESTAMP(3), flights BIGINT, first_delay INT, worst_delay INT, recovered_at TIMESTAMP(3)
) WITH ('connector' = 'print', 'print-identifier' = 'falling behind');

INSERT INTO falling_behind
SELECT * FROM (SELECT * FROM flights WHERE dep_delay IS NOT NULL) MATCH_RECOGNIZE (
  PARTITION BY tailnum
  ORDER BY scheduled
  MEASURES
    L.scheduled AS since,
    COUNT(M.dep_delay) + 1 AS flights,
    L.dep_delay AS first_delay,
    LAST(M.dep_delay) AS worst_delay,
    E.scheduled AS recovered_at
  ONE ROW PER MATCH
  AFTER MATCH SKIP TO LAST E
  PATTERN (L M{2,} E) WITHIN INTERVAL '2' DAY
  DEFINE
    L AS L.dep_delay > 30,
    M AS M.dep_delay > COALESCE(LAST(M.dep_delay, 1), L.dep_delay)
);
