import BusbarDriver
import NIOCore

/// What a case works with: an app of its own, nodes on it, and a place to say what it is doing.
struct Bench: Sendable {
    let driver: any DriverUnderTest
    let app: any AppUnderTest
    let guarantees: Guarantees
    let progress: Progress

    /// Names what comes next, so that a report can say where a driver hung.
    func doing(_ what: String) {
        self.progress.isDoing(what)
    }

    func expect(_ holds: Bool, _ seen: @autoclosure () -> String) throws {
        guard holds else { throw LawBroken(seen: seen()) }
    }

    func inject(_ fault: BrokerFault) async throws {
        self.doing("injecting \(fault.rawValue)")
        do { try await self.app.faults?.inject(fault) } catch let unknown as UnknownFault {
            let detail = unknown.detail.isEmpty ? "" : ": \(unknown.detail)"
            throw NotApplicable(reason: "the harness knows no fault \(unknown.fault.rawValue)\(detail)")
        }
    }

    /// Whether what the broker acknowledged is still there after a restart.
    var isKeptOverRestart: Bool {
        self.guarantees.durability == .broker && self.guarantees.replays && self.driver.brokerPersists
    }

    /// A fault, and its end whatever happens between.
    func during<R>(_ fault: BrokerFault, until end: BrokerFault, _ body: () async throws -> R) async throws -> R {
        try await self.inject(fault)
        let result: Result<R, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        let doing = self.progress.doing
        try await self.inject(end)
        self.doing(doing)
        return try result.get()
    }

    /// Runs nodes that follow the streams `0..<streams`; begins `body` once all are live. Past the end none of them is
    /// running.
    func withNodes<R>(
        _ count: Int, streams: Int = 1, on app: (any AppUnderTest)? = nil, _ body: ([Node]) async throws -> R
    ) async throws -> R {
        self.doing("making \(count) nodes")
        var nodes: [Node] = []
        for index in 1...count {
            let driver = try await (app ?? self.app).makeNode()
            nodes.append(Node(name: "node \(index)", driver: driver, progress: self.progress))
        }
        let ids = (0..<streams).map { StreamID(UInt16($0)) }
        let made = nodes
        let outcome: Result<R, any Error> = await withTaskGroup(of: Void.self) { group in
            for node in made { group.addTask { await node.run(following: ids) } }
            let result: Result<R, any Error>
            do {
                for node in made { try await node.waitUntilLive(following: ids) }
                self.doing("working")
                result = .success(try await body(made))
            } catch {
                result = .failure(error)
            }
            let doing = self.progress.doing
            group.cancelAll()
            if case .success = result { self.doing("waiting for run to return after its task was cancelled") }
            await group.waitForAll()
            if case .success = result { self.doing(doing) }
            return result
        }
        let value = try outcome.get()
        for node in made {
            if let offence = node.recorder.now.offence { throw LawBroken(seen: "\(node.name): \(offence)") }
        }
        return value
    }
}

/// One node of a farm: a driver and what it was told.
struct Node: Sendable {
    let name: String
    let driver: any BackplaneDriver
    let recorder: Recorder
    let writer: Writer

    init(name: String, driver: any BackplaneDriver, progress: Progress) {
        self.name = name
        self.driver = driver
        self.recorder = Recorder(name: name, progress: progress)
        self.writer = Writer(name: name, driver: driver, progress: progress)
    }

    func run(following streams: [StreamID]) async {
        do throws(DriverError) {
            try await self.driver.run(following: streams, delivering: self.recorder)
            self.recorder.runEnded("returned")
        } catch {
            self.recorder.runEnded("threw \(error)")
        }
    }

    /// Waits for the first live and checks that it speaks of every stream.
    func waitUntilLive(following streams: [StreamID]) async throws {
        try await self.recorder.wait(for: "live") { !$0.stretches.isEmpty }
        let extents = self.recorder.now.stretches[0].extents
        for stream in streams where extents[stream] == nil {
            throw LawBroken(seen: "\(self.name): live says nothing of \(stream)")
        }
    }

    /// Waits until a record with exactly these bytes has come, and returns all that came of the stream until then and
    /// since.
    func heard(_ stream: StreamID = .first, upTo bytes: ByteBuffer) async throws -> [Recorder.Heard] {
        try await self.recorder.wait(for: "the last record of \(stream)") { $0.newest(stream, contain: bytes) }
        return self.recorder.now.heard(stream)
    }
}

extension StreamID {
    static let first = StreamID(0)
}
