import CLibPQ
import DequeModule
import NIOCore

/// One connection to PostgreSQL: statements in, answers and notifications out, in pipeline mode and without ever blocking.
///
/// Lives on a driver thread. Each statement is a transaction of its own.
final class Connection {
    typealias Completion = (Result<Rows, ServerError>) -> Void
    typealias Instant = ContinuousClock.Instant

    enum Event {
        case opened
        case notified(String)
        /// The connection is gone; whatever waited for an answer has got its error.
        case broke(ServerError)
    }

    private enum Phase {
        case opening(isForWriting: Bool)
        case open
        case closed
    }

    private struct Request {
        let deadline: Instant
        let completion: Completion
        /// The statement that it prepares before it runs.
        let preparing: String?
        var answer: Result<Rows, ServerError>?
    }

    /// Why optional: libpq has no memory, or it was closed.
    private var handle: OpaquePointer?
    private var phase = Phase.opening(isForWriting: true)
    private var awaited = Deque<Request>()
    private var isUnsent = false
    /// Whether this session is ours alone, so that statements prepared in it stay there.
    var mayPrepare = false
    /// Names of prepared statements by their texts, which are a handful.
    private var prepared: [String: String] = [:]
    private var namesGiven = 0
    /// Why random: in a session that somebody shares out after all, a name of ours must not be another one's.
    private let namePrefix = "busbar_" + String(UInt64.random(in: 0...(.max)), radix: 36) + "_"

    /// Begins to connect.
    /// - Parameter keywords: libpq's keywords and values; a `dbname` that is a URI is read as one.
    init(_ keywords: [(keyword: String, value: String)]) {
        self.handle = Self.withCStrings(keywords.map(\.keyword)) { names in
            Self.withCStrings(keywords.map(\.value)) { values in PQconnectStartParams(names, values, 1) }
        }
        guard let handle = self.handle else { return }
        PQsetNoticeProcessor(handle, busbar_pq_ignore_notice, nil)
        // Why: of a failed connection nothing else shows the state that says why.
        PQsetErrorVerbosity(handle, PQERRORS_VERBOSE)
    }

    deinit {
        if let handle { PQfinish(handle) }
    }

    var serverVersion: Int { self.handle.map { Int(PQserverVersion($0)) } ?? 0 }
    /// As the server, or whoever stands between, said when it accepted the connection.
    var announcedBackend: Int { self.handle.map { Int(PQbackendPID($0)) } ?? 0 }

    // MARK: Waiting

    var wait: SocketWaitWish? {
        guard let handle = self.handle else { return nil }
        let descriptor = PQsocket(handle)
        guard descriptor >= 0 else { return nil }
        switch self.phase {
        case .opening(let isForWriting): return (descriptor, !isForWriting, isForWriting)
        case .open: return (descriptor, true, self.isUnsent)
        case .closed: return nil
        }
    }

    typealias SocketWaitWish = (descriptor: CInt, reading: Bool, writing: Bool)

    /// When the oldest statement has waited too long.
    var deadline: Instant? { self.awaited.first?.deadline }

    // MARK: Working

    /// Puts a statement behind those under way; ``flush()`` sends it.
    func send(_ statement: Statement, within limit: Duration, completion: @escaping Completion) {
        guard case .open = self.phase, let handle = self.handle else {
            return completion(.failure(ServerError(state: nil, message: "the connection is not open")))
        }
        var preparing: String?
        if statement.isFrequent, self.mayPrepare, self.prepared[statement.text] == nil {
            self.namesGiven += 1
            let name = "\(self.namePrefix)\(self.namesGiven)"
            let types = statement.parameters.map(\.typeID)
            guard PQsendPrepare(handle, name, statement.text, CInt(types.count), types) == 1 else {
                return completion(.failure(ServerError(connection: handle)))
            }
            self.prepared[statement.text] = name
            preparing = statement.text
        }
        guard Self.send(statement, named: self.prepared[statement.text], on: handle), PQpipelineSync(handle) == 1 else {
            return completion(.failure(ServerError(connection: handle)))
        }
        self.isUnsent = true
        self.awaited.append(Request(deadline: .now + limit, completion: completion, preparing: preparing))
    }

    /// Does what can be done now, and says what came of it.
    func turn(isReadable: Bool, isWritable: Bool, at now: Instant) -> [Event] {
        guard let handle = self.handle else {
            guard case .opening = self.phase else { return [] }
            return self.breakDown(ServerError(state: "53200", message: "libpq has no memory for a connection"))
        }
        switch self.phase {
        case .closed: return []
        case .opening: return self.goOnOpening(handle, isReady: isReadable || isWritable)
        case .open: return self.receive(handle, isReadable: isReadable, at: now)
        }
    }

    /// Hands what was sent to the system, as far as it takes it.
    func flush() -> [Event] {
        guard self.isUnsent, case .open = self.phase, let handle = self.handle else { return [] }
        switch PQflush(handle) {
        case 0: self.isUnsent = false
        case 1: break
        default: return self.breakDown(ServerError(connection: handle))
        }
        return []
    }

    /// As ``flush()``, by who has only borrowed the connection.
    /// - Returns: false when something is left to be sent, or to be found out.
    func post() -> Bool {
        guard self.isUnsent, case .open = self.phase, let handle = self.handle else { return true }
        guard PQflush(handle) == 0 else { return false }
        self.isUnsent = false
        return true
    }

    var isOpen: Bool { if case .open = self.phase { true } else { false } }

    /// Ends it; whatever waits for an answer gets `error`.
    func close(_ error: ServerError) {
        self.phase = .closed
        if let handle = self.handle {
            self.handle = nil
            PQfinish(handle)
        }
        while let request = self.awaited.popFirst() { request.completion(.failure(error)) }
    }

    private func breakDown(_ error: ServerError) -> [Event] {
        self.close(error)
        return [.broke(error)]
    }

    private func goOnOpening(_ handle: OpaquePointer, isReady: Bool) -> [Event] {
        if PQstatus(handle) == CONNECTION_BAD { return self.breakDown(Self.openingError(handle)) }
        guard isReady else { return [] }
        switch PQconnectPoll(handle) {
        case PGRES_POLLING_READING: self.phase = .opening(isForWriting: false)
        case PGRES_POLLING_WRITING: self.phase = .opening(isForWriting: true)
        case PGRES_POLLING_OK:
            guard PQsetnonblocking(handle, 1) == 0, PQenterPipelineMode(handle) == 1 else {
                return self.breakDown(ServerError(connection: handle))
            }
            PQsetErrorVerbosity(handle, PQERRORS_DEFAULT)
            self.phase = .open
            return [.opened]
        default: return self.breakDown(Self.openingError(handle))
        }
        return []
    }

    private static func openingError(_ handle: OpaquePointer) -> ServerError {
        ServerError(connecting: PQerrorMessage(handle).map { String(cString: $0) } ?? "")
    }

    private func receive(_ handle: OpaquePointer, isReadable: Bool, at now: Instant) -> [Event] {
        var events: [Event] = []
        let isAlive = !isReadable || PQconsumeInput(handle) == 1
        while let notification = PQnotifies(handle) {
            events.append(.notified(String(cString: notification.pointee.extra)))
            PQfreemem(notification)
        }
        self.takeAnswers(handle)
        // Why asked again: an answer's receiver may have closed this connection.
        guard self.handle == handle else { return events }
        if !isAlive || PQstatus(handle) == CONNECTION_BAD {
            return events + self.breakDown(ServerError(connection: handle))
        }
        if let deadline = self.deadline, deadline <= now {
            return events + self.breakDown(ServerError(state: nil, message: "PostgreSQL did not answer in time"))
        }
        return events
    }

    private func takeAnswers(_ handle: OpaquePointer) {
        var endsInRow = 0
        while self.handle == handle, !self.awaited.isEmpty, endsInRow < 2, PQisBusy(handle) == 0 {
            guard let result = PQgetResult(handle) else {
                endsInRow += 1
                continue
            }
            endsInRow = 0
            switch PQresultStatus(result) {
            case PGRES_TUPLES_OK, PGRES_COMMAND_OK:
                self.awaited[0].answer = .success(Rows(result))
            case PGRES_PIPELINE_SYNC:
                PQclear(result)
                let request = self.awaited.removeFirst()
                request.completion(
                    request.answer ?? .failure(ServerError(state: nil, message: "a statement was not answered")))
            case PGRES_FATAL_ERROR:
                let error = ServerError(result: result)
                PQclear(result)
                // Why not then: the statement is prepared, and it is its first run that failed.
                let wasPrepared = self.awaited[0].answer != nil
                self.awaited[0].answer = .failure(error)
                self.failed(error, preparing: wasPrepared ? nil : self.awaited[0].preparing)
            default:
                PQclear(result)
            }
        }
    }

    private func failed(_ error: ServerError, preparing text: String?) {
        // Why none any more: somebody stands between who gives us other sessions, and they don't know our names.
        if error.isUnknownStatement {
            self.mayPrepare = false
            self.prepared = [:]
        } else if let text {
            self.prepared[text] = nil
        }
    }

    // MARK: The C side

    private static func send(_ statement: Statement, named name: String?, on handle: OpaquePointer) -> Bool {
        let (bytes, ranges) = statement.encoded()
        return bytes.withUnsafeReadableBytes { block in
            let values = ranges.map { range in
                range.flatMap { range in
                    block.baseAddress.map { ($0 + range.lowerBound).assumingMemoryBound(to: CChar.self) }
                }
            }
            let (lengths, formats) = (ranges.map { CInt($0?.count ?? 0) }, ranges.map { _ in CInt(1) })
            if let name {
                return PQsendQueryPrepared(handle, name, CInt(values.count), values, lengths, formats, 1) == 1
            }
            return PQsendQueryParams(
                handle, statement.text, CInt(values.count), statement.parameters.map(\.typeID), values, lengths,
                formats,
                1) == 1
        }
    }

    private static func withCStrings<Result>(
        _ texts: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Result
    ) -> Result {
        let block = texts.flatMap { Array($0.utf8CString) }
        var starts: [Int] = []
        var next = 0
        for text in texts {
            starts.append(next)
            next += text.utf8.count + 1
        }
        return block.withUnsafeBufferPointer { buffer in
            var pointers: [UnsafePointer<CChar>?] = starts.map { start in buffer.baseAddress.map { $0 + start } }
            pointers.append(nil)
            return body(pointers)
        }
    }
}
