-- Bids of a category's auctions: a join whose result is wide.
CREATE TABLE sink_q20 (
  auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, `dateTime` TIMESTAMP(3), extra VARCHAR, itemName VARCHAR, description VARCHAR, initialBid BIGINT, reserve BIGINT, a_dateTime TIMESTAMP(3), expires TIMESTAMP(3), seller BIGINT, category BIGINT, a_extra VARCHAR
) WITH (${SINK:-'connector' = 'blackhole'});

INSERT INTO sink_q20
SELECT auction, bidder, price, channel, url, B.`dateTime`, B.extra,
  itemName, description, initialBid, reserve, A.`dateTime` AS a_dateTime, expires, seller, category, A.extra AS a_extra
FROM bid AS B INNER JOIN auction AS A ON B.auction = A.id
WHERE A.category = 10;
