//! The queries whose processes are killed: each kind of state that a checkpoint keeps is in one of them.

/// Events that come for a second or two, by the wall clock, unless `throttle` says otherwise.
pub(super) fn tables(throttle: bool) -> String {
    let options =
        format!("'connector' = 'nexmark', 'events' = '24000', 'rate' = '12000', 'throttle' = '{throttle}'");
    let table = |name: &str, columns: &str| {
        format!(
            "CREATE TABLE {name} ({columns}, `dateTime` TIMESTAMP(3),
               WATERMARK FOR `dateTime` AS `dateTime` - INTERVAL '0.1' SECOND
             ) WITH ({options}, 'table' = '{name}');\n"
        )
    };
    let bid = table("bid", "auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR");
    let auction = table(
        "auction",
        "id BIGINT, initialBid BIGINT, expires TIMESTAMP(3), seller BIGINT, category BIGINT",
    );
    let person = table("person", "id BIGINT, name VARCHAR, city VARCHAR, state VARCHAR");
    let words = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/words.csv");
    // each lookup reads the file, which takes longer than a batch
    let words = format!(
        "CREATE TABLE words (id BIGINT, word VARCHAR) WITH ('connector' = 'filesystem', 'path' = '{words}',
           'format' = 'csv', 'lookup.cache' = 'NONE');\n"
    );
    format!("{bid}{auction}{person}{words}{VIEWS}")
}

const VIEWS: &str = "
CREATE VIEW both_kinds AS
  SELECT 'dear' AS kind, auction, `dateTime` FROM bid WHERE price > 1000000
  UNION ALL SELECT 'odd', auction, `dateTime` FROM bid WHERE MOD(bidder, 2) = 1;
CREATE VIEW counts AS
  SELECT auction, COUNT(*) AS num, window_start AS starttime, window_end AS endtime
  FROM TABLE(HOP(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '0.1' SECOND, INTERVAL '0.4' SECOND))
  GROUP BY auction, window_start, window_end;
";

pub(super) struct Query {
    pub name: &'static str,
    pub columns: &'static str,
    /// changes have to be written, too
    pub updates: bool,
    pub select: &'static str,
}

const fn rows(name: &'static str, columns: &'static str, select: &'static str) -> Query {
    Query { name, columns, updates: false, select }
}

const fn changes(name: &'static str, columns: &'static str, select: &'static str) -> Query {
    Query { name, columns, updates: true, select }
}

pub(super) const QUERIES: &[Query] = &[
    rows(
        "lookup",
        "auction BIGINT, bidder BIGINT, word VARCHAR",
        "SELECT /*+ LOOKUP('table' = 'w', 'async' = 'true', 'capacity' = '3') */ b.auction, b.bidder, w.word
         FROM (SELECT auction, bidder, PROCTIME() AS p FROM bid) AS b
         LEFT JOIN words FOR SYSTEM_TIME AS OF b.p AS w ON MOD(b.auction, 4) = w.id",
    ),
    rows(
        "filter",
        "auction BIGINT, price BIGINT",
        "SELECT auction, price FROM bid WHERE MOD(auction, 7) < 3",
    ),
    rows(
        "tumble",
        "auction BIGINT, n BIGINT, ws TIMESTAMP(3)",
        "SELECT auction, COUNT(*), window_start
         FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '0.2' SECOND))
         GROUP BY auction, window_start, window_end",
    ),
    rows(
        "hop",
        "bidder BIGINT, top BIGINT, ws TIMESTAMP(3)",
        "SELECT bidder, MAX(price), window_start
         FROM TABLE(HOP(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '0.1' SECOND, INTERVAL '0.4' SECOND))
         GROUP BY bidder, window_start, window_end",
    ),
    rows(
        "cumulate",
        "channel VARCHAR, n BIGINT, total BIGINT, we TIMESTAMP(3)",
        "SELECT channel, COUNT(DISTINCT bidder), SUM(price), window_end
         FROM TABLE(CUMULATE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '0.1' SECOND, INTERVAL '0.5' SECOND))
         GROUP BY channel, window_start, window_end",
    ),
    rows(
        "session",
        "bidder BIGINT, n BIGINT, ws TIMESTAMP(3), we TIMESTAMP(3)",
        "SELECT bidder, COUNT(*), window_start, window_end
         FROM TABLE(SESSION(TABLE bid PARTITION BY bidder, DESCRIPTOR(`dateTime`), INTERVAL '0.3' SECOND))
         GROUP BY bidder, window_start, window_end",
    ),
    rows(
        "over",
        "bidder BIGINT, ts TIMESTAMP(3), total BIGINT",
        "SELECT bidder, `dateTime`, SUM(price) OVER (PARTITION BY bidder ORDER BY `dateTime`
           RANGE BETWEEN INTERVAL '0.2' SECOND PRECEDING AND CURRENT ROW) FROM bid",
    ),
    changes(
        "distinct",
        "auction BIGINT, n BIGINT, bidders BIGINT, least BIGINT",
        "SELECT auction, COUNT(*), COUNT(DISTINCT bidder), MIN(price) FROM bid GROUP BY auction",
    ),
    changes(
        "words",
        "word VARCHAR, n BIGINT",
        "SELECT word, COUNT(*) FROM bid CROSS JOIN UNNEST(SPLIT(url, '/')) AS t (word)
         WHERE word <> '' GROUP BY word",
    ),
    rows(
        "union",
        "kind VARCHAR, auction BIGINT, n BIGINT, ws TIMESTAMP(3)",
        "SELECT kind, auction, COUNT(*), window_start FROM TABLE(TUMBLE(TABLE both_kinds,
           DESCRIPTOR(`dateTime`), INTERVAL '0.25' SECOND))
         GROUP BY kind, auction, window_start, window_end",
    ),
    rows(
        "join",
        "id BIGINT, category BIGINT, bidder BIGINT, price BIGINT",
        "SELECT A.id, A.category, B.bidder, B.price FROM auction A JOIN bid B ON A.id = B.auction
         WHERE B.price > 100000",
    ),
    changes(
        "outer_join",
        "person BIGINT, name VARCHAR, auction BIGINT, category BIGINT",
        "SELECT P.id, P.name, A.id, A.category FROM person P LEFT JOIN auction A ON P.id = A.seller",
    ),
    rows(
        "interval_join",
        "auction BIGINT, seller BIGINT, bidder BIGINT",
        "SELECT A.id, A.seller, B.bidder FROM auction A JOIN bid B ON A.id = B.auction
         AND B.`dateTime` BETWEEN A.`dateTime` AND A.`dateTime` + INTERVAL '0.3' SECOND",
    ),
    changes(
        "top_n",
        "channel VARCHAR, price BIGINT, auction BIGINT, bidder BIGINT, ts TIMESTAMP(3)",
        "SELECT channel, price, auction, bidder, `dateTime` FROM (
           SELECT *, ROW_NUMBER() OVER (
             PARTITION BY channel ORDER BY price DESC, auction, bidder, `dateTime`) AS place FROM bid)
         WHERE place <= 5",
    ),
    // Nexmark's, with windows that fit these two seconds
    changes(
        "nexmark_q4",
        "category BIGINT, final BIGINT",
        "SELECT Q.category, AVG(Q.final) FROM (
           SELECT MAX(B.price) AS final, A.category FROM auction A, bid B
           WHERE A.id = B.auction AND B.`dateTime` BETWEEN A.`dateTime` AND A.expires
           GROUP BY A.id, A.category) Q
         GROUP BY Q.category",
    ),
    rows(
        "nexmark_q5",
        "auction BIGINT, num BIGINT",
        "SELECT A.auction, A.num FROM counts A JOIN (
           SELECT MAX(num) AS maxn, starttime, endtime FROM counts GROUP BY starttime, endtime) M
         ON A.starttime = M.starttime AND A.endtime = M.endtime AND A.num >= M.maxn",
    ),
    rows(
        "nexmark_q8",
        "id BIGINT, name VARCHAR, stime TIMESTAMP(3)",
        "SELECT P.id, P.name, P.starttime FROM (
           SELECT id, name, window_start AS starttime, window_end AS endtime
           FROM TABLE(TUMBLE(TABLE person, DESCRIPTOR(`dateTime`), INTERVAL '0.5' SECOND))
           GROUP BY id, name, window_start, window_end) P
         JOIN (
           SELECT seller, window_start AS starttime, window_end AS endtime
           FROM TABLE(TUMBLE(TABLE auction, DESCRIPTOR(`dateTime`), INTERVAL '0.5' SECOND))
           GROUP BY seller, window_start, window_end) A
         ON P.id = A.seller AND P.starttime = A.starttime AND P.endtime = A.endtime",
    ),
    changes(
        "nexmark_q18",
        "auction BIGINT, bidder BIGINT, ts TIMESTAMP(3)",
        "SELECT auction, bidder, `dateTime` FROM (
           SELECT *, ROW_NUMBER() OVER (PARTITION BY bidder, auction ORDER BY `dateTime` DESC) AS place FROM bid)
         WHERE place <= 1",
    ),
];
