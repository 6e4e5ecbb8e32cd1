import BusbarDriver
import BusbarDriverThread

/// One connection that runs one statement, and is gone: for what an operator asks, beside any node.
enum PostgresErrand {
    static func run<Answer: Sendable>(
        _ statement: Statement, at configuration: PostgresConfiguration,
        interpret: @escaping @Sendable (Rows) -> Answer
    ) async throws(DriverError) -> Answer {
        let thread = try DriverThread(name: "busbar-errand") { Errand(configuration) }
        let answer: Result<Answer, DriverError> = await thread.call(during: "run") { errand, done in
            errand.begin(statement) { done($0.map(interpret).mapError { $0.driverError(during: "run") }) }
        }
        await thread.stop()
        return try answer.get()
    }
}

private final class Errand: ThreadResident {
    typealias Completion = (Result<Rows, ServerError>) -> Void

    private let connection: Connection
    private let limit: Duration
    private let deadline: ContinuousClock.Instant
    private var waiting: (statement: Statement, done: Completion)?
    private var done: Completion?
    private var isOpen = false

    init(_ configuration: PostgresConfiguration) {
        self.connection = Connection([("dbname", configuration.server.text), ("client_encoding", "UTF8")])
        self.limit = configuration.requestLimit
        self.deadline = .now + configuration.requestLimit
    }

    func begin(_ statement: Statement, _ done: @escaping Completion) {
        self.done = done
        self.waiting = (statement, { [unowned self] in self.answer($0) })
        self.sendIfOpen()
    }

    func waits() -> ThreadWaits {
        var waits = ThreadWaits(deadline: self.done == nil ? nil : self.deadline)
        if let wait = self.connection.wait {
            waits.sockets.append(SocketWait(wait.descriptor, reading: wait.reading, writing: wait.writing))
        }
        return waits
    }

    func turn(_ ready: ReadySockets) {
        let descriptor = self.connection.wait?.descriptor ?? -1
        self.handle(
            self.connection.turn(
                isReadable: ready.isReadable(descriptor), isWritable: ready.isWritable(descriptor), at: .now))
        if self.deadline <= .now { self.stop() }
        self.handle(self.connection.flush())
    }

    func stop() {
        let late = ServerError(state: nil, message: "PostgreSQL did not answer in time")
        self.connection.close(late)
        self.answer(.failure(late))
    }

    private func handle(_ events: [Connection.Event]) {
        for event in events {
            switch event {
            case .opened:
                self.isOpen = true
                self.sendIfOpen()
            case .notified: break
            case .broke(let error): self.answer(.failure(error))
            }
        }
    }

    private func sendIfOpen() {
        guard self.isOpen, let waiting = self.waiting else { return }
        self.waiting = nil
        self.connection.send(waiting.statement, within: self.limit, completion: waiting.done)
    }

    private func answer(_ answer: Result<Rows, ServerError>) {
        let done = self.done
        self.done = nil
        done?(answer)
    }
}
