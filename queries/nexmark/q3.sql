-- Who is selling in certain states: a regular join of auctions and persons, kept for as long as the job runs.
CREATE TABLE sink_q3 (
  name VARCHAR, city VARCHAR, state VARCHAR, id BIGINT
) WITH (${SINK:-'connector' = 'blackhole'});

INSERT INTO sink_q3
SELECT P.name, P.city, P.state, A.id
FROM auction AS A INNER JOIN person AS P ON A.seller = P.id
WHERE A.category = 10 AND (P.state = 'OR' OR P.state = 'ID' OR P.state = 'CA');
