import BusbarDriver
import NIOCore

/// The statements by which a node uses the schema, and what their answers mean. One call is one round trip and one transaction.
struct LogCalls {
    let schema: String
    /// How long the server may wait for a lock, such as a counter row that somebody holds.
    let lockLimitMilliseconds: Int32
    /// `synchronous_commit` for appends; nil leaves it to the server.
    let durability: String?

    func schemaFacts() -> Statement { Statement("SELECT * FROM \(self.schema).schema_facts()") }

    func openApp(_ name: String) -> Statement {
        Statement("SELECT app, channel FROM \(self.schema).open_app($1)", .text(name))
    }

    func append(_ batch: Batch, to stream: StreamID, app: Int32) -> Statement {
        let key = batch.records[0].key
        let (epoch, place) = Self.place(batch.highWater?.epoch, batch.highWater?.offset)
        return Statement(
            "SELECT * FROM \(self.schema).append($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)",
            .int4(app), .int4(Int32(stream.index)), epoch, place,
            .int8(Int64(bitPattern: key.node)), .int8(Int64(bitPattern: key.incarnation)),
            .int8Array(batch.records.map { Int64(bitPattern: $0.key.sequence) }),
            .byteaArray(batch.records.map(\.bytes)), .int4(self.lockLimitMilliseconds), .optionalText(self.durability)
        ).frequent
    }

    func read(_ stream: StreamID, after offset: Offset, limitBytes: Int, app: Int32) -> Statement {
        Statement(
            "SELECT * FROM \(self.schema).read($1,$2,$3,$4)", .int4(app), .int4(Int32(stream.index)),
            .int8(Int64(clamping: offset.rawValue)), .int8(Int64(limitBytes))
        ).frequent
    }

    func attach(_ stream: StreamID, seen: SeenMark?, app: Int32) -> Statement {
        let (epoch, place) = Self.place(seen?.epoch, seen?.offset)
        return Statement(
            "SELECT * FROM \(self.schema).attach($1,$2,$3,$4,$5,$6,$7,$8)", .int4(app), .int4(Int32(stream.index)),
            epoch, place, .int8(Int64(bitPattern: seen?.key.node ?? 0)),
            .int8(Int64(bitPattern: seen?.key.incarnation ?? 0)), .int8(Int64(bitPattern: seen?.key.sequence ?? 0)),
            .int4(self.lockLimitMilliseconds))
    }

    /// Epoch and newest place of each stream, and for how many milliseconds sessions of the whole server have been at work so far.
    /// - Parameter tellsWork: servers do from PostgreSQL 14 on.
    func places(app: Int32, tellsWork: Bool) -> Statement {
        let work = "(SELECT sum(pg_stat_get_db_active_time(oid))::int8 FROM pg_catalog.pg_database)"
        return Statement(
            "SELECT p.*, \(tellsWork ? work : "NULL::int8") FROM \(self.schema).places($1) p", .int4(app)
        ).frequent
    }

    func probe(_ nonce: String, app: Int32) -> Statement {
        Statement("SELECT \(self.schema).probe($1,$2)", .int4(app), .text(nonce))
    }

    func keep(app: Int32, node: UInt64, lease: Duration, retainedBytes: Int, retainedAge: Duration) -> Statement {
        Statement(
            "SELECT \(self.schema).keep($1,$2,$3,$4,$5)", .int4(app), .int8(Int64(bitPattern: node)),
            .int4(Int32(lease.components.seconds * 1_000)), .int8(Int64(retainedBytes)),
            .int8(retainedAge.components.seconds))
    }

    /// Rings for what was appended without a bell, now or when it is time.
    func ring(_ stream: StreamID, isLast: Bool, app: Int32) -> Statement {
        Statement(
            "SELECT \(self.schema).ring($1,$2,$3,\(isLast ? "false" : "true"))", .int4(app), .int4(Int32(stream.index)),
            .int4(self.lockLimitMilliseconds)
        ).frequent
    }

    func readOutbox(of app: String, limitBytes: Int) -> Statement {
        Statement("SELECT * FROM \(self.schema).read_outbox($1,$2)", .text(app), .int8(Int64(limitBytes))).frequent
    }

    func moveOutbox(_ ids: [Int64], as batch: Batch, to stream: StreamID, app: Int32) -> Statement {
        let key = batch.records[0].key
        let (epoch, place) = Self.place(batch.highWater?.epoch, batch.highWater?.offset)
        return Statement(
            "SELECT * FROM \(self.schema).move_outbox($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)",
            .int8Array(ids), .int4(app), .int4(Int32(stream.index)), epoch, place,
            .int8(Int64(bitPattern: key.node)), .int8(Int64(bitPattern: key.incarnation)),
            .int8Array(batch.records.map { Int64(bitPattern: $0.key.sequence) }),
            .byteaArray(batch.records.map(\.bytes)), .int4(self.lockLimitMilliseconds)
        )
    }

    /// Zero and zero for nothing.
    private static func place(_ epoch: Epoch?, _ offset: Offset?) -> (Statement.Parameter, Statement.Parameter) {
        // Why the bounds: a bigint ends at half of what these may be, and a later epoch must still fit above. None of ours
        // comes near.
        let highest = UInt64(Int64.max) / 2
        return (
            .int8(Int64(min(epoch?.rawValue ?? 0, highest))), .int8(Int64(min(offset?.rawValue ?? 0, highest)))
        )
    }

    // MARK: Answers

    static func position(_ rows: Rows, of stream: StreamID) throws(ServerError) -> Position {
        guard let epoch = rows.unsigned(0, 0), let last = rows.unsigned(0, 1) else { throw Self.unexpected("append") }
        return Position(stream: stream, epoch: Epoch(epoch), offset: Offset(last))
    }

    /// Who rings for what was appended.
    enum Bell: Hashable {
        /// Nobody any more.
        case hasRung
        /// This node, after a while.
        case isOurs(after: Duration)
        /// Another node.
        case isOthers
    }

    static func bell(_ rows: Rows) -> Bell {
        guard let milliseconds = rows.integer(0, 2) else { return .isOthers }
        return milliseconds < 0 ? .hasRung : .isOurs(after: .milliseconds(milliseconds))
    }

    static func extent(_ rows: Rows) throws(ServerError) -> StreamExtent {
        guard let epoch = rows.unsigned(0, 0), let oldest = rows.unsigned(0, 1), let newest = rows.unsigned(0, 2) else {
            throw Self.unexpected("attach")
        }
        return StreamExtent(epoch: Epoch(epoch), oldest: Offset(oldest), newest: Offset(newest))
    }

    /// Nil when the stream has no epoch.
    static func page(_ rows: Rows) throws(ServerError) -> LogPage? {
        guard rows.count > 0 else { return nil }
        guard let epoch = rows.unsigned(0, 0), var oldest = rows.unsigned(0, 1), let newest = rows.unsigned(0, 2) else {
            throw Self.unexpected("read")
        }
        var records: [StoredRecord] = []
        var last: SeenMark?
        records.reserveCapacity(rows.count - 1)
        for row in 1..<rows.count {
            guard let place = rows.unsigned(row, 3), let node = rows.integer(row, 4),
                let incarnation = rows.integer(row, 5), let sequence = rows.integer(row, 6),
                let bytes = rows.bytes(row, 7)
            else { throw Self.unexpected("read") }
            records.append(StoredRecord(offset: Offset(place), bytes: bytes))
            last = SeenMark(
                epoch: Epoch(epoch), offset: Offset(place), key: RecordKey(node, incarnation, sequence))
        }
        // Why: a slot may be truncated between the two looks that make up a page.
        if let first = records.first { oldest = min(oldest, first.offset.rawValue) }
        let page = Page(epoch: Epoch(epoch), records: records, oldest: Offset(oldest), newest: Offset(newest))
        return LogPage(page: page, last: last)
    }

    static func unexpected(_ what: String) -> ServerError {
        ServerError(state: "08P01", message: "\(what) was answered with something else than Busbar's schema answers")
    }
}
