import BusbarConformance
import BusbarDriver
import BusbarMemory
import NIOCore
import Synchronization

/// One defect: what a wrong driver does otherwise than the right one it wraps. Without a member of its own it changes
/// nothing.
protocol Defect: Sendable {
    func append(_ batch: Batch, to stream: StreamID, at node: Mutant) async throws(DriverError) -> Receipt
    func read(
        _ stream: StreamID, after offset: Offset, limitBytes: Int, at node: Mutant
    ) async throws(DriverError) -> Page
    func extent(of stream: StreamID, at node: Mutant) async throws(DriverError) -> StreamExtent
    func run(following streams: [StreamID], delivering inbox: any Inbox, at node: Mutant) async throws(DriverError)
    /// What the inbox is told instead of `event`.
    func told(_ event: DriverEvent, at node: Mutant) -> [DriverEvent]
    /// What is declared instead.
    func declared(_ guarantees: Guarantees) -> Guarantees
}

extension Defect {
    func append(_ batch: Batch, to stream: StreamID, at node: Mutant) async throws(DriverError) -> Receipt {
        try await node.inner.append(batch, to: stream)
    }

    func read(
        _ stream: StreamID, after offset: Offset, limitBytes: Int, at node: Mutant
    ) async throws(DriverError) -> Page {
        try await node.inner.read(stream, after: offset, limitBytes: limitBytes)
    }

    func extent(of stream: StreamID, at node: Mutant) async throws(DriverError) -> StreamExtent {
        try await node.inner.extent(of: stream)
    }

    func run(
        following streams: [StreamID], delivering inbox: any Inbox, at node: Mutant
    ) async throws(DriverError) {
        try await node.inner.run(following: streams, delivering: DefectInbox(node: node, inbox: inbox))
    }

    func told(_ event: DriverEvent, at node: Mutant) -> [DriverEvent] { [event] }

    func declared(_ guarantees: Guarantees) -> Guarantees { guarantees }
}

/// A driver with one defect, around an honest one.
final class Mutant: BackplaneDriver {
    let inner: any BackplaneDriver
    /// Number of the node within its app, from 0.
    let number: Int
    private let defect: any Defect

    init(_ inner: any BackplaneDriver, number: Int, defect: any Defect) {
        self.inner = inner
        self.number = number
        self.defect = defect
    }

    var guarantees: Guarantees { self.defect.declared(self.inner.guarantees) }

    func run(following streams: [StreamID], delivering inbox: any Inbox) async throws(DriverError) {
        try await self.defect.run(following: streams, delivering: inbox, at: self)
    }

    func append(_ batch: Batch, to stream: StreamID) async throws(DriverError) -> Receipt {
        try await self.defect.append(batch, to: stream, at: self)
    }

    func read(_ stream: StreamID, after offset: Offset, limitBytes: Int) async throws(DriverError) -> Page {
        try await self.defect.read(stream, after: offset, limitBytes: limitBytes, at: self)
    }

    func extent(of stream: StreamID) async throws(DriverError) -> StreamExtent {
        try await self.defect.extent(of: stream, at: self)
    }

    fileprivate func told(_ event: DriverEvent) -> [DriverEvent] { self.defect.told(event, at: self) }
}

struct DefectInbox: Inbox {
    let node: Mutant
    let inbox: any Inbox

    func receive(_ event: DriverEvent) {
        for event in self.node.told(event) { self.inbox.receive(event) }
    }
}

/// The memory driver with a defect, before the kit.
struct MutantUnderTest: DriverUnderTest {
    let name: String
    let memory: MemoryUnderTest
    /// Makes the defect of one app; that makes those of its nodes.
    let makeDefects: @Sendable () -> @Sendable () -> any Defect

    var limitsRetention: Bool { true }

    func makeApp(_ options: AppOptions) async throws -> any AppUnderTest {
        MutantApp(app: try await self.memory.makeApp(options), makeDefect: self.makeDefects())
    }
}

private final class MutantApp: AppUnderTest {
    private let app: any AppUnderTest
    private let makeDefect: @Sendable () -> any Defect
    private let made = Mutex(0)

    init(app: any AppUnderTest, makeDefect: @escaping @Sendable () -> any Defect) {
        self.app = app
        self.makeDefect = makeDefect
    }

    var faults: (any BrokerFaults)? { self.app.faults }

    func makeNode() async throws -> any BackplaneDriver {
        let number = self.made.withLock { made in
            defer { made += 1 }
            return made
        }
        return Mutant(try await self.app.makeNode(), number: number, defect: self.makeDefect())
    }

    func remove() async { await self.app.remove() }
}

// MARK: - Tools of the defects

extension DriverEvent {
    /// The same event with other records; nothing else is changed.
    func mapping(_ body: (StreamID, [StoredRecord]) -> [StoredRecord]) -> [DriverEvent] {
        guard case .records(let stream, let epoch, let records) = self else { return [self] }
        let mapped = body(stream, records)
        return mapped.isEmpty ? [] : [.records(stream: stream, epoch: epoch, mapped)]
    }
}

extension Batch {
    func mapping(_ body: ([Record]) -> [Record]) -> Batch {
        Batch(records: body(self.records), highWater: self.highWater)
    }
}

extension Record {
    func with(_ bytes: ByteBuffer) -> Record { Record(key: self.key, bytes: bytes) }
}

extension StoredRecord {
    func with(_ bytes: ByteBuffer) -> StoredRecord { StoredRecord(offset: self.offset, bytes: bytes) }
}

/// Suspends for good, whatever happens to the task. What waits here is never freed: that is what such a driver does.
func hangForever() async {
    await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in }
}
