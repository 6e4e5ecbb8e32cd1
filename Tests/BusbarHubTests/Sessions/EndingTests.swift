import Busbar
import BusbarHub
import BusbarProtocol
import Logging
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@Suite("Connections that end, and what they leave behind", .timeLimit(.minutes(2)))
struct EndingTests {
    @Test("a disconnected event that takes longer than it may runs once all the same", arguments: [true, false])
    func slowDisconnected(isCore: Bool) async throws {
        try await Room.open { room in
            let query = [("linger", "1")]
            let entry: String
            if isCore {
                let peer = try await room.core("a", query: query)
                try await peer.send(#"{"protocol":"json","version":1}"#)
                await room.journal.wait(for: "connected a")
                try await peer.close(.lost)
                entry = "disconnected a lost"
            } else {
                _ = try await room.classic("a", query: query).envelope()
                await room.runtime.classic.abort(id: "a")
                entry = "disconnected a stoppedByClient"
            }
            await room.journal.wait(for: entry)
            for seconds in [6, 12, 18, 24] as [Int64] { try await room.pass(.seconds(seconds)) }
            _ = try await room.connected("b").textsUntilEcho("b")
            #expect(room.journal.count(entry) == 1)
            room.gate.open()
        }
    }

    @Test("a call that is cancelled by itself fails alone, case 72, and so does one whose result is no JSON, case 51")
    func failingCalls() async throws {
        try await Room.open { room in
            let (classic, _) = try await room.started("a")
            for (id, method) in [(1, "giveUp"), (2, "unwritable")] {
                try await classic.call(method, id: id)
                let answer = await classic.next()
                #expect(answer == #"{"I":"\#(id)","E":"There was an error invoking Hub method 'testhub.\#(method)'."}"#)
            }
            try await classic.call("echo", "[1]", id: 3)
            #expect(await classic.next() == #"{"R":1,"I":"3"}"#)
            let core = try await room.connected("c")
            for method in ["giveUp", "unwritable"] {
                try await core.send(#"{"type":1,"invocationId":"\#(method)","target":"\#(method)","arguments":[]}"#)
                let answer = try #require(await core.next())
                #expect(answer.contains(#""invocationId":"\#(method)""#) && answer.contains(#""error":"#))
            }
            #expect(try await core.textsUntilEcho("after") == [])
        }
    }

    @Test("§4.5 a posted call that outlives its connection is answered with its result; one that waited has not run")
    func postedCalls() async throws {
        var configuration = HubConfiguration()
        configuration.queuedInvocationLimit = 1
        try await Room.open(configuration: configuration) { room in
            let (peer, _) = try await room.started("a")
            let call = ByteBuffer(string: #"{"H":"testhub","M":"wait","A":["x"],"I":1}"#)
            async let running = room.runtime.classic.send(id: "a", payload: call)
            await room.journal.wait(for: "began x")
            let next = ByteBuffer(string: #"{"H":"testhub","M":"nothing","A":[],"I":2}"#)
            async let waiting = room.runtime.classic.send(id: "a", payload: next)
            // Why: with one call waiting the queue is full, and the channel isn't read.
            while peer.sink.pauses == 0 { try await Task.turn() }
            await room.runtime.classic.abort(id: "a")
            #expect(await waiting == .unknown)
            #expect(await room.runtime.classic.start(id: "a") == .unknown)
            try await room.pass(.seconds(6))
            await room.journal.wait(for: "disconnected a stoppedByClient")
            while await room.runtime.sessionCount() > 0 {}
            room.gate.open()
            #expect(await running == .result(ByteBuffer(string: #"{"I":"1"}"#)))
            #expect(room.journal.count("nothing") == 0)
            while await room.runtime.census() != RuntimeCensus() {}
        }
    }

    @Test("a thousand connections of each generation leave no session, channel or context behind")
    func lettingGo() async throws {
        try await Room.open { room in
            let witnesses = Witnesses()
            let loop = room.loops.next()
            for index in 0..<1_000 {
                let identity = Room.identity("core \(index)", user: nil, query: [])
                try await loop.submit {
                    let hub = try #require(room.runtime.hubs.hub(named: "TestHub"))
                    let outlet = RecordingOutlet(Sink(), splitsRecords: true)
                    let session = CoreSession(
                        runtime: room.runtime, loop: loop, hub: hub, identity: identity, outlet: outlet,
                        framing: .webSocket)
                    witnesses.watch(session, outlet, session.context)
                    session.started()
                    // Why some without: a client may leave before its handshake, or in the middle of it.
                    if index % 4 > 0 {
                        var bytes = ByteBuffer(string: "{\"protocol\":\"json\",\"version\":1}\u{1E}")
                        if index % 4 == 1 { bytes = bytes.getSlice(at: 0, length: 9) ?? ByteBuffer() }
                        session.received(&bytes)
                    }
                    if index % 8 == 7 { session.context.abort() }
                    session.transportClosed(index % 2 == 0 ? .graceful : .lost)
                }.get()
                let opening = Room.opening(
                    "classic \(index)", hubs: room.runtime.hubs.hubs, delayedStart: index % 2 == 0)
                let channel = try await loop.submit {
                    let outlet = RecordingOutlet(Sink(), splitsRecords: false)
                    let channel = try #require(
                        room.runtime.classic.open(opening, outlet: outlet, framing: .webSocket, on: loop))
                    witnesses.watch(channel, outlet)
                    if index % 3 > 0 { channel.transportClosed(.lost) }
                    return NIOLoopBound(channel, eventLoop: loop)
                }.get()
                await room.runtime.classic.abort(id: "classic \(index)")
                if index % 3 == 0 { try await loop.submit { channel.value.transportClosed(.graceful) }.get() }
            }
            while await room.runtime.sessionCount() > 0 {}
            for loop in room.loops.makeIterator() { try await loop.submit {}.get() }
            #expect(await room.runtime.census() == RuntimeCensus())
            #expect(witnesses.count == 5_000)
            await witnesses.allGone()
        }
    }

    @Test("a runtime that stops lets go of the connections that are left, and tells who waits for it")
    func stop() async throws {
        let loops = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let witnesses = Witnesses()
        try await Self.stopRuntime(on: loops, witnesses)
        await witnesses.allGone()
        try await loops.shutdownGracefully()
    }

    private static func stopRuntime(on loops: MultiThreadedEventLoopGroup, _ witnesses: Witnesses) async throws {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let bus = Room.makeBus(logger)
        let journal = Journal(), gate = Gate()
        let runtime = try HubRuntime(
            bus: bus, hubs: [.hub(TestHub.self) { TestHub($0, journal: journal, gate: gate) }], eventLoops: loops,
            logger: logger)
        let room = Room(runtime: runtime, loops: loops, journal: journal, gate: gate)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await bus.run() }
            let (core, classic) = try await withThrowingTaskGroup(of: Void.self) { inner in
                inner.addTask { try await runtime.run() }
                await runtime.settle()
                let core = try await room.connected("c")
                let classic = try await room.started("a", on: 1).peer
                try await classic.close()
                try await core.send(#"{"type":1,"target":"hang","arguments":[]}"#)
                await journal.wait(for: "hanging")
                inner.cancelAll()
                return (core, classic)
            }
            #expect(core.sink.ending == .goingAway)
            #expect(await runtime.sessionCount() == 0)
            #expect(await runtime.classic.start(id: classic.id) == .unreachable)
            let late = try await room.core("late")
            #expect(late.sink.ending != nil)
            let hub = try #require(runtime.context(named: "TestHub"))
            await #expect { try await hub.groups.add("c", to: "g") } throws: {
                ($0 as? HubSendError)?.code == .stopped
            }
            group.cancelAll()
        }
        witnesses.watch(runtime)
    }
}

/// Objects that are to go away.
final class Witnesses: Sendable {
    private struct Witness: @unchecked Sendable {
        // Why unchecked: the reference is only ever compared with nil.
        weak var object: AnyObject?
    }

    private let witnesses = Mutex<[Witness]>([])

    func watch(_ objects: AnyObject...) {
        let new = objects.map { Witness(object: $0) }
        self.witnesses.withLock { $0 += new }
    }

    var count: Int { self.witnesses.withLock { $0.count } }

    private var living: [String] {
        self.witnesses.withLock { $0.compactMap { $0.object.map { "\(type(of: $0))" } } }
    }

    /// Returns when all are gone, and fails the test when they aren't after a minute.
    func allGone(sourceLocation: SourceLocation = #_sourceLocation) async {
        let deadline = ContinuousClock.now + .seconds(60)
        while !self.living.isEmpty, ContinuousClock.now < deadline { await Task.yield() }
        let kinds = Dictionary(grouping: self.living) { $0 }.mapValues(\.count)
        #expect(kinds.isEmpty, sourceLocation: sourceLocation)
    }
}
