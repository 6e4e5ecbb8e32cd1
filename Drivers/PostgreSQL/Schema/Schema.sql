-- Version 3 of Busbar's schema. {schema} stands for its quoted name, {persistence} for UNLOGGED or nothing.
--
-- Nodes call functions and touch no table, so a role needs USAGE on the schema and EXECUTE on its functions, nothing else.
-- The functions run with the rights of the schema's owner and find names in this schema only. Those that read the log insist on
-- its index, since nobody analyses tables that are truncated all the time; and on no JIT, since a plan that avoids a scan at any
-- price looks so dear that compiling it would take a thousand times as long as running it.

CREATE SCHEMA IF NOT EXISTS {schema};

-- An app's log lies in a ring of six tables, its slots: one is written to, four are full, one is empty. Retention
-- moves on to the empty one and truncates the oldest, so that nothing is ever deleted row by row.
CREATE TABLE {schema}.apps (
    app int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    channel text NOT NULL,
    -- The slot that appends go to, and since when.
    slot int NOT NULL DEFAULT 0,
    slot_since timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The node that looks after retention and outbox, and until when.
    keeper bigint,
    keeper_until timestamptz,
    -- Never comes back, also not when the log itself does not survive a crash.
    last_epoch bigint NOT NULL DEFAULT 0,
    -- The least time between two bells of a stream. Waking a listener costs the server as much as a small append, so the more
    -- nodes there are, the more records share a bell.
    bell_pause interval NOT NULL DEFAULT '0'
) WITH (fillfactor = 50);

-- Who listens, as far as is known.
CREATE {persistence} TABLE {schema}.nodes (
    app int NOT NULL,
    node bigint NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (app, node)
) WITH (fillfactor = 50);

-- The counter row of a stream: it is locked from the choice of an offset until the commit, so that offsets become visible in
-- their order and without holes.
CREATE {persistence} TABLE {schema}.heads (
    app int NOT NULL,
    stream int NOT NULL,
    epoch bigint NOT NULL,
    -- Offset of the newest record ever stored in this epoch.
    newest bigint NOT NULL,
    -- What the last bell told of, and when it rang. Places behind it wait for the next one.
    told bigint NOT NULL DEFAULT 0,
    told_from bigint NOT NULL DEFAULT 1,
    rung_at timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (app, stream)
) WITH (fillfactor = 10);

-- The last record of each writer, to recognise its repetition.
CREATE {persistence} TABLE {schema}.writers (
    app int NOT NULL,
    stream int NOT NULL,
    node bigint NOT NULL,
    incarnation bigint NOT NULL,
    sequence bigint NOT NULL,
    place bigint NOT NULL,
    written_at timestamptz NOT NULL,
    PRIMARY KEY (app, stream, node, incarnation)
) WITH (fillfactor = 30);

-- Records under their offset ("place": the word offset is taken). ring = app * 6 + slot.
CREATE TABLE {schema}.log (
    ring int NOT NULL,
    stream int NOT NULL,
    epoch bigint NOT NULL,
    place bigint NOT NULL,
    node bigint NOT NULL,
    incarnation bigint NOT NULL,
    sequence bigint NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (ring, stream, epoch, place)
) PARTITION BY LIST (ring);
-- Trying to compress what is small or compressed already costs more than it saves.
ALTER TABLE {schema}.log ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- What applications publish within their own transactions. Always logged: it commits or vanishes with the rest of them.
CREATE TABLE {schema}.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app text NOT NULL,
    topic text NOT NULL,
    payload bytea NOT NULL,
    -- Rank among the messages of its topic, given at commit; nothing before.
    place bigint,
    written_by xid8 NOT NULL DEFAULT pg_current_xact_id()
);
ALTER TABLE {schema}.outbox ALTER COLUMN payload SET STORAGE EXTERNAL;
CREATE INDEX outbox_ranked ON {schema}.outbox (app, place) WHERE place IS NOT NULL;
CREATE INDEX outbox_unranked ON {schema}.outbox (written_by) WHERE place IS NULL;
CREATE SEQUENCE {schema}.outbox_places;

-- What this schema is. Nodes of any version ask for it first, so it stays as it is in all later ones. A function and no table, so
-- that it outlives whatever happens to the data.
CREATE FUNCTION {schema}.schema_facts(OUT version int, OUT is_logged boolean)
LANGUAGE sql IMMUTABLE AS $$ SELECT 3, {logged} $$;

-- ---- apps ------------------------------------------------------------------------------------------------------------

-- An app's number and channel; makes its slots when it is new.
CREATE FUNCTION {schema}.open_app(wanted text, OUT app int, OUT channel text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
BEGIN
    SELECT a.app, a.channel INTO open_app.app, open_app.channel FROM apps a WHERE a.name = wanted;
    IF FOUND THEN RETURN; END IF;
    PERFORM pg_advisory_xact_lock('apps'::regclass::oid::int, 0);
    SELECT a.app, a.channel INTO open_app.app, open_app.channel FROM apps a WHERE a.name = wanted;
    IF FOUND THEN RETURN; END IF;
    -- Short, fixed and ASCII, whatever the app is called; and no other schema of this database has the same.
    INSERT INTO apps AS a (name, channel)
        VALUES (wanted, 'busbar_' || md5(quote_ident(current_schema()) || '.' || wanted))
        RETURNING a.app, a.channel INTO open_app.app, open_app.channel;
    FOR ring IN open_app.app * 6 .. open_app.app * 6 + 5 LOOP
        EXECUTE format(
            -- What fits into a page stays in its row: a pack of the bus would else be written in two pieces to a second table.
            'CREATE {persistence} TABLE log_%s (LIKE log INCLUDING ALL) '
            'WITH (autovacuum_enabled = false, toast_tuple_target = 8160)', ring);
        -- Attaching takes a weaker lock on the log than creating a partition does.
        EXECUTE format('ALTER TABLE log ATTACH PARTITION log_%s FOR VALUES IN (%s)', ring, ring);
    END LOOP;
END $$;

-- Removes an app and all it holds; for operators.
CREATE FUNCTION {schema}.drop_app(unwanted text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    gone int;
BEGIN
    DELETE FROM apps a WHERE a.name = unwanted RETURNING a.app INTO gone;
    DELETE FROM outbox o WHERE o.app = unwanted;
    IF gone IS NULL THEN RETURN; END IF;
    DELETE FROM heads h WHERE h.app = gone;
    DELETE FROM writers w WHERE w.app = gone;
    DELETE FROM nodes n WHERE n.app = gone;
    FOR ring IN gone * 6 .. gone * 6 + 5 LOOP
        EXECUTE format('DROP TABLE IF EXISTS log_%s', ring);
    END LOOP;
END $$;

-- ---- the log ---------------------------------------------------------------------------------------------------------

-- Starts a new life of a stream's log, unless somebody else has meanwhile started one that satisfies the caller.
CREATE FUNCTION {schema}.begin_epoch(app int, stream int, seen_epoch bigint, seen_place bigint, ended bigint)
RETURNS {schema}.heads
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    head heads;
    fresh bigint;
BEGIN
    PERFORM 1 FROM apps a WHERE a.app = begin_epoch.app FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the app is no longer there' USING ERRCODE = 'BB001';
    END IF;
    SELECT * INTO head FROM heads h
        WHERE h.app = begin_epoch.app AND h.stream = begin_epoch.stream FOR UPDATE;
    IF FOUND AND head.epoch IS DISTINCT FROM ended
        AND (seen_epoch > head.epoch OR (seen_epoch = head.epoch AND seen_place > head.newest)) IS NOT TRUE THEN
        RETURN head;
    END IF;
    -- Above everything that anybody remembers, and above what this very moment gave to an earlier life.
    UPDATE apps a SET last_epoch = greatest(a.last_epoch, seen_epoch, head.epoch,
            (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) + 1
        WHERE a.app = begin_epoch.app RETURNING a.last_epoch INTO fresh;
    DELETE FROM writers w WHERE w.app = begin_epoch.app AND w.stream = begin_epoch.stream;
    INSERT INTO heads AS h VALUES (begin_epoch.app, begin_epoch.stream, fresh, 0)
        ON CONFLICT ON CONSTRAINT heads_pkey DO UPDATE SET epoch = fresh, newest = 0, told = 0, told_from = 1
        RETURNING h.* INTO head;
    RETURN head;
END $$;

-- Rings for the records of a stream from one place to another, and sends them along unless they are too many.
CREATE FUNCTION {schema}.send_bell(
    channel text, stream int, epoch bigint, first bigint, last bigint, node bigint, incarnation bigint, sequence bigint, riders bytea
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    -- No two bells are equal, since no two begin at the same place; NOTIFY drops what is equal.
    bell constant text := concat_ws(' ', stream, epoch, first, last, node, incarnation, sequence);
    parts constant int := (octet_length(riders) + 5699) / 5700;
    nothing text;
BEGIN
    -- The server keeps notifications until its slowest listener has them, and refuses commits when there is no more room, everybody's.
    IF riders IS NULL OR parts > 13 OR (parts > 1 AND pg_notification_queue_usage() > 0.1) THEN
        -- Why assigned to nothing: PERFORM runs a query, and an assignment costs a tenth of one.
        nothing := pg_notify(channel, bell);
        RETURN;
    END IF;
    -- A notification may have 7 999 bytes: 5 700 in base64 with its line breaks take 7 700, and what precedes at most 150. A pack of
    -- the bus takes 12 of them, which wake a listener once and spare it a look into the log.
    FOR part IN 1 .. parts LOOP
        nothing := pg_notify(channel, bell || ' ' || part || '/' || parts || ' '
            || encode(substring(riders FROM (part - 1) * 5700 + 1 FOR 5700), 'base64'));
    END LOOP;
END $$;

-- Rings for what is in the log.
CREATE FUNCTION {schema}.tell(app int, stream int, epoch bigint, first bigint, last bigint, channel text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    final log;
    riders bytea;
BEGIN
    SELECT * INTO final FROM log l
        WHERE l.ring BETWEEN tell.app * 6 AND tell.app * 6 + 5
            AND l.stream = tell.stream AND l.epoch = tell.epoch AND l.place = last;
    -- Nothing is told of what is no longer retained.
    IF NOT FOUND THEN RETURN; END IF;
    IF (
        SELECT sum(octet_length(l.bytes) + 4) FROM log l
        WHERE l.ring BETWEEN tell.app * 6 AND tell.app * 6 + 5
            AND l.stream = tell.stream AND l.epoch = tell.epoch AND l.place BETWEEN first AND last
    ) <= 74100 THEN
        SELECT string_agg(int4send(octet_length(l.bytes)) || l.bytes, NULL ORDER BY l.place) INTO riders FROM log l
            WHERE l.ring BETWEEN tell.app * 6 AND tell.app * 6 + 5
                AND l.stream = tell.stream AND l.epoch = tell.epoch AND l.place BETWEEN first AND last;
    END IF;
    PERFORM send_bell(channel, stream, epoch, first, last, final.node, final.incarnation, final.sequence, riders);
END $$;

-- Rings for what was appended without a bell, unless somebody has meanwhile, or it is too early and the caller can wait.
CREATE FUNCTION {schema}.ring(app int, stream int, wait_ms int, can_wait boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    head heads;
    channel text;
    pause interval;
BEGIN
    PERFORM set_config('lock_timeout', wait_ms::text, true);
    SELECT a.channel, a.bell_pause INTO channel, pause FROM apps a WHERE a.app = ring.app;
    UPDATE heads h SET told = h.newest, told_from = h.told + 1, rung_at = clock_timestamp()
        WHERE h.app = ring.app AND h.stream = ring.stream AND h.told < h.newest
            AND (clock_timestamp() >= h.rung_at + pause OR NOT can_wait)
        RETURNING h.* INTO head;
    IF FOUND THEN PERFORM tell(app, stream, head.epoch, head.told_from, head.told, channel); END IF;
END $$;

-- Stores a batch of one writer and rings the bell. Answers epoch and offset of its last record: where it lies, or lay already. And
-- who is to ring: nobody any more (-1), the caller after so many milliseconds by calling ring (0 or more), or somebody else (NULL).
CREATE FUNCTION {schema}.append(
    app int, stream int, seen_epoch bigint, seen_place bigint, node bigint, incarnation bigint,
    sequences bigint[], records bytea[], wait_ms int, durability text,
    OUT epoch bigint, OUT last bigint, OUT ring_in int
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    head heads;
    count constant int := cardinality(sequences);
    final constant bigint := sequences[count];
    first int := 1;
    written record;
    ring int;
    channel text;
    pause interval;
    now_is constant timestamptz := clock_timestamp();
    rings_always boolean;
    rings boolean;
    riders bytea;
    nothing text;
BEGIN
    -- Why assigned to nothing: as above.
    nothing := set_config('lock_timeout', wait_ms::text, true);
    IF durability IS NOT NULL THEN
        nothing := set_config('synchronous_commit', durability, true);
    END IF;
    SELECT a.app * 6 + a.slot, a.channel, a.bell_pause INTO ring, channel, pause FROM apps a WHERE a.app = append.app;
    -- Without a pause whoever waited for the counter row rings too, though others have since it came. And messages of a large batch
    -- share its bell already.
    rings_always := pause = interval '0' OR pg_column_size(records) > 8000;

    -- One visit to the counter row, which stays locked from here on. In the rare case of a repetition it is set back.
    FOR attempt IN 1 .. 2 LOOP
        UPDATE heads h SET newest = h.newest + count,
                told = CASE WHEN rings_always OR now_is >= h.rung_at + pause THEN h.newest + count ELSE h.told END,
                told_from = CASE WHEN rings_always OR now_is >= h.rung_at + pause THEN h.told + 1 ELSE h.told_from END,
                rung_at = CASE WHEN rings_always OR now_is >= h.rung_at + pause THEN now_is ELSE h.rung_at END
            WHERE h.app = append.app AND h.stream = append.stream
                AND (seen_epoch > h.epoch OR (seen_epoch = h.epoch AND seen_place > h.newest)) IS NOT TRUE
            RETURNING h.* INTO head;
        EXIT WHEN FOUND;
        head := begin_epoch(app, stream, seen_epoch, seen_place, NULL);
    END LOOP;
    epoch := head.epoch;
    rings := head.told = head.newest;

    UPDATE writers w SET sequence = final, place = head.newest, written_at = now()
        WHERE w.app = append.app AND w.stream = append.stream
            AND w.node = append.node AND w.incarnation = append.incarnation AND w.sequence < sequences[1];
    IF NOT FOUND THEN
        SELECT w.sequence, w.place INTO written FROM writers w
            WHERE w.app = append.app AND w.stream = append.stream
                AND w.node = append.node AND w.incarnation = append.incarnation;
        IF NOT FOUND THEN
            INSERT INTO writers VALUES (app, stream, node, incarnation, final, head.newest, now());
        ELSE
            WHILE first <= count AND sequences[first] <= written.sequence LOOP
                first := first + 1;
            END LOOP;
            -- Somebody's records may have waited for the bell that doesn't ring now.
            UPDATE heads h SET newest = h.newest - first + 1, rung_at = '-infinity',
                    told = CASE WHEN rings THEN h.told_from - 1 ELSE h.told END
                WHERE h.app = append.app AND h.stream = append.stream RETURNING h.* INTO head;
            rings := false;
            ring_in := 0;
            IF final = written.sequence THEN
                last := written.place;
                RETURN;
            ELSIF final < written.sequence THEN
                SELECT l.place INTO last FROM log l
                    WHERE l.ring BETWEEN append.app * 6 AND append.app * 6 + 5
                        AND l.stream = append.stream AND l.epoch = append.epoch
                        AND l.place BETWEEN written.place - 4096 AND written.place
                        AND l.node = append.node AND l.incarnation = append.incarnation AND l.sequence = final
                    LIMIT 1;
                IF FOUND THEN RETURN; END IF;
                RAISE EXCEPTION 'a later record of this writer is stored, and this one is not retained'
                    USING ERRCODE = 'BB002';
            END IF;
            UPDATE writers w SET sequence = final, place = head.newest, written_at = now()
                WHERE w.app = append.app AND w.stream = append.stream
                    AND w.node = append.node AND w.incarnation = append.incarnation;
            -- Upkeep may have removed the row of a writer that was quiet for long.
            IF NOT FOUND THEN
                INSERT INTO writers VALUES (app, stream, node, incarnation, final, head.newest, now());
            END IF;
        END IF;
    END IF;

    last := head.newest;
    IF count = 1 THEN
        INSERT INTO log VALUES (ring, stream, epoch, last, node, incarnation, final, records[1]);
    ELSE
        INSERT INTO log
            SELECT ring, stream, append.epoch, last - count + r.i, node, incarnation, r.sequence, r.bytes
            FROM unnest(sequences, records) WITH ORDINALITY r (sequence, bytes, i) WHERE r.i >= first;
    END IF;
    IF NOT rings THEN
        -- Whoever is the first that isn't told of sees to the bell. A little late, so that an append that comes then rings instead.
        IF ring_in IS NULL AND head.told = last - count THEN
            ring_in := greatest(0, ceil(1000 * extract(epoch FROM head.rung_at + pause * 1.25 - now_is)));
        END IF;
        RETURN;
    END IF;
    ring_in := -1;
    IF head.told_from <= last - count THEN
        nothing := tell(app, stream, epoch, head.told_from, last, channel);
        RETURN;
    END IF;
    IF count = 1 THEN
        IF octet_length(records[1]) <= 74096 THEN
            riders := int4send(octet_length(records[1])) || records[1];
        END IF;
    ELSIF (SELECT sum(octet_length(r.bytes) + 4) FROM unnest(records) r (bytes)) <= 74100 THEN
        SELECT string_agg(int4send(octet_length(r.bytes)) || r.bytes, NULL ORDER BY r.i) INTO riders
            FROM unnest(records) WITH ORDINALITY r (bytes, i);
    END IF;
    nothing := send_bell(channel, stream, epoch, last - count + 1, last, node, incarnation, final, riders);
END $$;

-- The places an app's records take, oldest first; for the functions below.
CREATE FUNCTION {schema}.oldest_place(app int, stream int, epoch bigint, newest bigint) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp SET enable_seqscan = off SET jit = off AS $$
    SELECT coalesce((
        SELECT l.place FROM log l
        WHERE l.ring BETWEEN app * 6 AND app * 6 + 5 AND l.stream = oldest_place.stream AND l.epoch = oldest_place.epoch
        ORDER BY l.place LIMIT 1
    ), newest + 1)
$$;

-- What a stream holds. Begins a new epoch when there is none, or when the log is not the one that the caller has seen.
CREATE FUNCTION {schema}.attach(
    app int, stream int, seen_epoch bigint, seen_place bigint,
    seen_node bigint, seen_incarnation bigint, seen_sequence bigint, wait_ms int,
    OUT epoch bigint, OUT oldest bigint, OUT newest bigint
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    head heads;
    ended bigint;
BEGIN
    PERFORM set_config('lock_timeout', wait_ms::text, true);
    SELECT * INTO head FROM heads h WHERE h.app = attach.app AND h.stream = attach.stream;
    IF head.epoch = seen_epoch AND EXISTS (
        SELECT FROM log l
        WHERE l.ring BETWEEN attach.app * 6 AND attach.app * 6 + 5
            AND l.stream = attach.stream AND l.epoch = seen_epoch AND l.place = seen_place
            AND (l.node, l.incarnation, l.sequence) IS DISTINCT FROM (seen_node, seen_incarnation, seen_sequence)
    ) THEN
        ended := head.epoch;
    END IF;
    IF head.epoch IS NULL OR ended IS NOT NULL
        OR seen_epoch > head.epoch OR (seen_epoch = head.epoch AND seen_place > head.newest) THEN
        head := begin_epoch(app, stream, seen_epoch, seen_place, ended);
    END IF;
    epoch := head.epoch;
    newest := head.newest;
    oldest := oldest_place(app, stream, head.epoch, head.newest);
END $$;

-- Records after a place, as many as fit into so many bytes but at least one; before them a row without a record that says what
-- the stream holds. No row at all when the stream has no epoch yet.
CREATE FUNCTION {schema}.read(app int, stream int, after bigint, limit_bytes bigint)
RETURNS TABLE (
    epoch bigint, oldest bigint, newest bigint,
    place bigint, node bigint, incarnation bigint, sequence bigint, bytes bytea
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp
SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
    entry record;
    room bigint := limit_bytes;
    count int := 0;
BEGIN
    SELECT h.epoch, h.newest INTO read.epoch, read.newest FROM heads h
        WHERE h.app = read.app AND h.stream = read.stream;
    IF NOT FOUND THEN RETURN; END IF;
    oldest := oldest_place(app, stream, epoch, newest);
    RETURN NEXT;
    FOR entry IN
        SELECT l.place, l.node, l.incarnation, l.sequence, l.bytes FROM log l
        WHERE l.ring BETWEEN read.app * 6 AND read.app * 6 + 5
            AND l.stream = read.stream AND l.epoch = read.epoch AND l.place > after
        ORDER BY l.place
    LOOP
        room := room - octet_length(entry.bytes);
        EXIT WHEN count = 10000 OR (room < 0 AND count > 0);
        count := count + 1;
        place := entry.place;
        node := entry.node;
        incarnation := entry.incarnation;
        sequence := entry.sequence;
        bytes := entry.bytes;
        RETURN NEXT;
    END LOOP;
END $$;

-- Epoch and newest place of each stream of an app: what a node asks of its listening connection again and again.
CREATE FUNCTION {schema}.places(app int) RETURNS TABLE (stream int, epoch bigint, newest bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
    SELECT h.stream, h.epoch, h.newest FROM heads h WHERE h.app = places.app
$$;

-- A notification that says who sent it, to see whether notifications come through.
CREATE FUNCTION {schema}.probe(app int, nonce text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
    SELECT pg_notify(a.channel, 'probe ' || nonce) FROM apps a WHERE a.app = probe.app
$$;

-- ---- upkeep ----------------------------------------------------------------------------------------------------------

-- Says whether the caller is the one node that looks after the app for the next seconds; if so, does what retention asks for.
CREATE FUNCTION {schema}.keep(app int, node bigint, lease_ms int, retained_bytes bigint, retained_seconds bigint)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    kept apps;
    following int;
    pause interval;
BEGIN
    PERFORM set_config('lock_timeout', '100', true);
    INSERT INTO nodes AS n VALUES (app, node, clock_timestamp())
        ON CONFLICT ON CONSTRAINT nodes_pkey DO UPDATE SET seen_at = clock_timestamp()
            WHERE n.seen_at < clock_timestamp() - interval '5 seconds';
    SELECT * INTO kept FROM apps a WHERE a.app = keep.app;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the app is no longer there' USING ERRCODE = 'BB001';
    END IF;
    IF kept.keeper IS DISTINCT FROM node AND kept.keeper_until > clock_timestamp() THEN
        RETURN false;
    END IF;
    IF kept.keeper IS DISTINCT FROM node
        OR kept.keeper_until < clock_timestamp() + lease_ms * interval '0.5 milliseconds' THEN
        UPDATE apps a SET keeper = node, keeper_until = clock_timestamp() + lease_ms * interval '1 millisecond'
            WHERE a.app = keep.app
                AND (a.keeper IS NULL OR a.keeper = node OR a.keeper_until <= clock_timestamp());
        IF NOT FOUND THEN RETURN false; END IF;
    END IF;

    -- With a handful of nodes each record has its bell; half a millisecond for each more keeps what bells cost in bounds.
    DELETE FROM nodes n WHERE n.app = keep.app AND n.seen_at < clock_timestamp() - interval '15 seconds';
    SELECT least(50, greatest(0, 0.5 * (count(*) - 4))) * interval '1 millisecond' INTO pause
        FROM nodes n WHERE n.app = keep.app;
    UPDATE apps a SET bell_pause = pause WHERE a.app = keep.app AND a.bell_pause <> pause;

    following := (kept.slot + 1) % 6;
    IF pg_relation_size(format('log_%s', kept.app * 6 + following)::regclass) > 0 THEN
        BEGIN
            EXECUTE format('TRUNCATE log_%s', kept.app * 6 + following);
        EXCEPTION WHEN lock_not_available THEN
            -- A reader is in the way, or a backup. It is tried again; meanwhile the present slot grows.
            RETURN true;
        END;
        DELETE FROM writers w WHERE w.app = keep.app AND w.written_at < now() - interval '1 hour';
    END IF;
    IF pg_total_relation_size(format('log_%s', kept.app * 6 + kept.slot)::regclass) >= retained_bytes / 4
        OR clock_timestamp() - kept.slot_since >= retained_seconds * interval '0.25 seconds' THEN
        UPDATE apps a SET slot = following, slot_since = clock_timestamp() WHERE a.app = keep.app;
    END IF;
    RETURN true;
END $$;

-- ---- publishing within a transaction ---------------------------------------------------------------------------------

-- Publishes to a topic of an app if, and only if, the calling transaction commits. Waits for nobody and rings no bell.
CREATE FUNCTION {schema}.busbar_publish(topic text, payload bytea, app text DEFAULT 'busbar') RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
BEGIN
    IF topic IS NULL OR octet_length(convert_to(topic, 'UTF8')) > 16384 THEN
        RAISE EXCEPTION 'busbar_publish: a topic is a text of at most 16384 bytes'
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF payload IS NULL OR octet_length(payload) > 4194304 THEN
        RAISE EXCEPTION 'busbar_publish: a payload has at most 4194304 bytes'
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF app IS NULL OR app = '' THEN
        RAISE EXCEPTION 'busbar_publish: app is the name of the app, as in the URL of its nodes'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO outbox (app, topic, payload) VALUES (busbar_publish.app, busbar_publish.topic, busbar_publish.payload);
END $$;

CREATE FUNCTION {schema}.busbar_publish(topic text, payload text, app text DEFAULT 'busbar') RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
    SELECT busbar_publish(topic, convert_to(payload, 'UTF8'), app)
$$;

-- Ranks the messages of a transaction at its end. A topic is locked from here until the commit is visible, so ranks of a topic
-- are in the order of commits; and it is locked only from here on, so nobody waits for a transaction at work.
CREATE FUNCTION {schema}.rank_outbox() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    bucket int;
    message bigint;
BEGIN
    -- In one order, so that transactions don't wait for each other in a circle; and never more locks than buckets.
    FOR bucket IN
        SELECT DISTINCT (hashtextextended(o.app || '/' || o.topic, 0) & 1023)::int
        FROM outbox o WHERE o.written_by = pg_current_xact_id() AND o.place IS NULL ORDER BY 1
    LOOP
        PERFORM pg_advisory_xact_lock('outbox'::regclass::oid::int, bucket);
    END LOOP;
    FOR message IN
        SELECT o.id FROM outbox o WHERE o.written_by = pg_current_xact_id() AND o.place IS NULL ORDER BY o.id
    LOOP
        UPDATE outbox o SET place = nextval('outbox_places') WHERE o.id = message;
    END LOOP;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER rank_at_commit AFTER INSERT ON {schema}.outbox
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {schema}.rank_outbox();

-- The next messages of an app's outbox, as many as fit into so many bytes but at least one.
CREATE FUNCTION {schema}.read_outbox(app text, limit_bytes bigint)
RETURNS TABLE (id bigint, topic bytea, payload bytea)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp
SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
    entry record;
    room bigint := limit_bytes;
    count int := 0;
BEGIN
    FOR entry IN
        SELECT o.id, o.topic, o.payload FROM outbox o
        WHERE o.app = read_outbox.app AND o.place IS NOT NULL ORDER BY o.place
    LOOP
        room := room - octet_length(entry.payload) - octet_length(entry.topic);
        EXIT WHEN count = 4096 OR (room < 0 AND count > 0);
        count := count + 1;
        id := entry.id;
        topic := convert_to(entry.topic, 'UTF8');
        payload := entry.payload;
        RETURN NEXT;
    END LOOP;
END $$;

-- Moves messages from the outbox to the log, packed as these records: all of it or nothing, and only once.
CREATE FUNCTION {schema}.move_outbox(
    ids bigint[], app int, stream int, seen_epoch bigint, seen_place bigint, node bigint, incarnation bigint,
    sequences bigint[], records bytea[], wait_ms int,
    OUT epoch bigint, OUT last bigint, OUT ring_in int
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    removed int;
BEGIN
    PERFORM set_config('lock_timeout', wait_ms::text, true);
    DELETE FROM outbox o WHERE o.id = ANY (ids);
    GET DIAGNOSTICS removed = ROW_COUNT;
    IF removed <> cardinality(ids) THEN
        RAISE EXCEPTION 'another node has moved these messages' USING ERRCODE = 'BB003';
    END IF;
    -- Nobody may hear of a message before it is certain that it won't be moved again.
    SELECT a.epoch, a.last, a.ring_in INTO move_outbox.epoch, move_outbox.last, move_outbox.ring_in
        FROM append(app, stream, seen_epoch, seen_place, node, incarnation, sequences, records, wait_ms, 'on') a;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {schema} FROM PUBLIC;
