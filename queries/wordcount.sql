-- The classic: words from a socket, counted as they come. In one terminal
--
--     nc -lk 9000
--
-- and in another `weir run queries/wordcount.sql`; then type into the first.

CREATE TABLE lines (line STRING) WITH (
  'connector' = 'socket',
  'hostname' = '${HOST:-localhost}',
  'port' = '${PORT:-9000}',
  'format' = 'raw'
);

CREATE TABLE counts (word STRING, n BIGINT) WITH ('connector' = 'print');

INSERT INTO counts
SELECT word, COUNT(*)
FROM lines CROSS JOIN UNNEST(SPLIT(LOWER(line), ' ')) AS t (word)
WHERE word <> ''
GROUP BY word;
