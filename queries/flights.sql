-- Flights that left the three airports of New York in January 2013, hour by hour: real data, out of order.
--
--     weir run queries/flights.sql
--
-- Run it from the repository's root: paths are relative to where weir runs.

CREATE TABLE flights (
  `year` INT, `month` INT, `day` INT,
  dep_time INT, sched_dep_time INT, dep_delay INT,
  arr_time INT, sched_arr_time INT, arr_delay INT,
  carrier STRING, flight INT, tailnum STRING, origin STRING, dest STRING,
  air_time INT, distance INT, `hour` INT, `minute` INT, time_hour STRING,
  -- The scheduled departure in UTC: time_hour is its hour, `minute` the rest.
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

-- The ten worst hours would need a Top-N; here are the hours in which the mean delay at one airport passed an hour.
CREATE TABLE late_hours (
  window_start TIMESTAMP(3), origin STRING, departures BIGINT, mean_delay INT, worst_delay INT
) WITH ('connector' = 'print', 'print-identifier' = 'late hour');

-- How many flights were cancelled in each sliding day, one line each six hours, where it was more than a hundred.
CREATE TABLE cancellations (
  window_start TIMESTAMP(3), window_end TIMESTAMP(3), flights BIGINT, cancelled BIGINT, `percent` DECIMAL(5, 1)
) WITH ('connector' = 'print', 'print-identifier' = 'cancelled');

EXECUTE STATEMENT SET BEGIN
  INSERT INTO late_hours
  SELECT window_start, origin, COUNT(dep_delay), AVG(dep_delay), MAX(dep_delay)
  FROM TABLE(TUMBLE(TABLE flights, DESCRIPTOR(scheduled), INTERVAL '1' HOUR))
  GROUP BY window_start, window_end, origin
  HAVING AVG(dep_delay) > 60;

  INSERT INTO cancellations
  SELECT window_start, window_end, flights, cancelled, CAST(100.0 * cancelled / flights AS DECIMAL(5, 1))
  FROM (
    SELECT window_start, window_end, COUNT(*) AS flights, COUNT(*) FILTER (WHERE dep_time IS NULL) AS cancelled
    FROM TABLE(HOP(TABLE flights, DESCRIPTOR(scheduled), INTERVAL '6' HOUR, INTERVAL '1' DAY))
    GROUP BY window_start, window_end
  )
  WHERE cancelled > 100;
END;
