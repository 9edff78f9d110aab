-- Bids with what a file knows of them: a join with a bounded side.
CREATE TABLE side_input (key BIGINT, `value` VARCHAR)
  WITH ('connector' = 'filesystem', 'path' = '${DATA}/side_input', 'format' = 'csv');
CREATE TABLE sink_q13 (
  auction BIGINT, bidder BIGINT, price BIGINT, `dateTime` TIMESTAMP(3), `value` VARCHAR
) WITH (${SINK:-'connector' = 'blackhole'});

INSERT INTO sink_q13
SELECT B.auction, B.bidder, B.price, B.`dateTime`, S.`value`
FROM bid AS B JOIN side_input AS S ON MOD(B.auction, 10000) = S.key;
