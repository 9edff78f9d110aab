-- Bids with what a file knows of them: the file is looked up.
CREATE TABLE side_input (key BIGINT, `value` VARCHAR)
  WITH ('connector' = 'filesystem', 'path' = '${DATA}/side_input', 'format' = 'csv');
CREATE TABLE sink_q13 (
  auction BIGINT, bidder BIGINT, price BIGINT, `dateTime` TIMESTAMP(3), `value` VARCHAR
) WITH (${SINK:-'connector' = 'blackhole'});

INSERT INTO sink_q13
SELECT B.auction, B.bidder, B.price, B.`dateTime`, S.`value`
FROM (SELECT *, PROCTIME() AS p_time FROM bid) AS B
JOIN side_input FOR SYSTEM_TIME AS OF B.p_time AS S ON MOD(B.auction, 10000) = S.key;
