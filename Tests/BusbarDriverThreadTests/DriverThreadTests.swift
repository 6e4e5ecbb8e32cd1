import BusbarDriver
import BusbarDriverThread
import Glibc
import Synchronization
import Testing

/// Echoes through a pair of real sockets: what is sent into one end is read, on the thread, at the other.
private final class Echo: ThreadResident {
    let left: CInt
    let right: CInt
    var unsent: [UInt8] = []
    var awaited: [(count: Int, done: @Sendable (Result<[UInt8], DriverError>) -> Void)] = []
    var received: [UInt8] = []
    var turnCount = 0
    var deadline: ContinuousClock.Instant?
    var onDeadline: (@Sendable () -> Void)?
    var onStop: (@Sendable () -> Void)?

    init() {
        var pair: [CInt] = [0, 0]
        socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0, &pair)
        self.left = pair[0]
        self.right = pair[1]
    }

    func waits() -> ThreadWaits {
        ThreadWaits(
            sockets: [
                SocketWait(self.left, reading: false, writing: !self.unsent.isEmpty),
                SocketWait(self.right, reading: true, writing: false),
            ], deadline: self.deadline)
    }

    func turn(_ ready: ReadySockets) {
        self.turnCount += 1
        if !self.unsent.isEmpty {
            let count = send(self.left, self.unsent, self.unsent.count, CInt(MSG_NOSIGNAL))
            self.unsent.removeFirst(max(0, count))
        }
        if ready.isReadable(self.right) {
            var bytes = [UInt8](repeating: 0, count: 65_536)
            let count = recv(self.right, &bytes, bytes.count, 0)
            self.received += bytes.prefix(max(0, count))
        }
        while let first = self.awaited.first, self.received.count >= first.count {
            first.done(.success(Array(self.received.prefix(first.count))))
            self.received.removeFirst(first.count)
            self.awaited.removeFirst()
        }
        if let deadline = self.deadline, deadline <= .now {
            self.deadline = nil
            self.onDeadline?()
        }
    }

    func stop() {
        close(self.left)
        close(self.right)
        let gone = DriverError(.closed, during: "run", recovery: .giveUp, detail: "stopped")
        for waiting in self.awaited { waiting.done(.failure(gone)) }
        self.awaited = []
        self.onStop?()
    }
}

@Suite("a driver thread", .timeLimit(.minutes(2)))
struct DriverThreadTests {
    @Test("waits for sockets and commands at once, and what goes in comes out in order")
    func echoes() async throws {
        let thread = try DriverThread(name: "echo") { Echo() }
        for length in [1, 1_000, 300_000] {
            let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let answer = await thread.call(during: "append") { (echo: Echo, done) in
                echo.unsent += bytes
                echo.awaited.append((length, done))
            }
            #expect(try answer.get() == bytes)
        }
        await thread.stop()
    }

    @Test("commands run one at a time, in the order in which each task puts them, and none is lost")
    func keepsOrder() async throws {
        final class Log: ThreadResident {
            var seen: [Int: [Int]] = [:]
            func waits() -> ThreadWaits { ThreadWaits() }
            func turn(_ ready: ReadySockets) {}
            func stop() {}
        }
        let thread = try DriverThread(name: "log", mailboxLimit: 1_000_000) { Log() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<8 {
                group.addTask {
                    for number in 0..<5_000 {
                        try thread.put(during: "append") { $0.seen[writer, default: []].append(number) }
                    }
                }
            }
            try await group.waitForAll()
        }
        let seen = try await thread.call(during: "read") { log, done in done(.success(log.seen)) }.get()
        for writer in 0..<8 { #expect(seen[writer] == Array(0..<5_000)) }
        await thread.stop()
    }

    @Test("what gathers while the thread is busy runs in one turn")
    func batches() async throws {
        let thread = try DriverThread(name: "batch") { Echo() }
        let gate = Gate()
        let before = try await thread.call(during: "run") { (echo: Echo, done) in done(.success(echo.turnCount)) }.get()
        try thread.put(during: "run") { _ in gate.waitUntilOpen() }
        for _ in 0..<1_000 { try thread.put(during: "run") { _ in } }
        gate.open()
        let after = try await thread.call(during: "run") { (echo: Echo, done) in done(.success(echo.turnCount)) }.get()
        #expect(after - before < 10)
        await thread.stop()
    }

    @Test("a full mailbox refuses with an error that says when to try again, and takes commands again afterwards")
    func isBounded() async throws {
        let thread = try DriverThread(name: "full", mailboxLimit: 4) { Echo() }
        let gate = Gate()
        let isHeld = Gate()
        try thread.put(during: "run") { _ in
            isHeld.open()
            gate.waitUntilOpen()
        }
        isHeld.waitUntilOpen()
        for _ in 0..<4 { try thread.put(during: "run") { _ in } }
        let refusal = #expect(throws: DriverError.self) { try thread.put(during: "append") { _ in } }
        #expect(refusal?.code == .overloaded)
        #expect(refusal?.recovery == .retry(after: .milliseconds(100)))
        gate.open()
        await thread.stop()
    }

    @Test("a deadline wakes it without any socket or command")
    func wakesAtDeadline() async throws {
        let thread = try DriverThread(name: "timer") { Echo() }
        let set = ContinuousClock.now
        let fired: Result<ContinuousClock.Instant, DriverError> = await thread.call(during: "run") { echo, done in
            echo.deadline = .now + .milliseconds(20)
            echo.onDeadline = { done(.success(.now)) }
        }
        #expect(try fired.get() - set >= .milliseconds(20))
        await thread.stop()
    }

    @Test(
        "stopping answers whoever waits, releases the resident, ends the thread and its descriptors, and may be repeated"
    )
    func stopsCleanly() async throws {
        let before = try FileDescriptors.count()
        for _ in 0..<20 {
            let thread = try DriverThread(name: "stop") { Echo() }
            async let waiting = thread.call(during: "read") { (echo: Echo, done) in echo.awaited.append((1, done)) }
            let stopped: Result<Bool, DriverError> = await thread.call(during: "run") { _, done in done(.success(true))
            }
            #expect(try stopped.get())
            async let once: Void = thread.stop()
            async let twice: Void = thread.stop()
            _ = await (once, twice)
            // The command of the waiting call came before the stop, or was refused by it.
            guard case .failure(let error) = await waiting else {
                Issue.record("nothing was sent, so nothing can have been read")
                return
            }
            #expect(error.code == .closed)
            let late = #expect(throws: DriverError.self) { try thread.put(during: "append") { _ in } }
            #expect(late?.code == .closed)
        }
        #expect(try FileDescriptors.count() <= before + 2)
    }

    @Test("a thread that is let go without being stopped ends by itself")
    func endsWhenReleased() async throws {
        await withCheckedContinuation { continuation in
            do {
                let thread = try DriverThread(name: "loose") { Echo() }
                try thread.put(during: "run") { $0.onStop = { continuation.resume() } }
            } catch {
                Issue.record(error)
                continuation.resume()
            }
        }
    }
}

private final class Counter: Sendable {
    private let count = Atomic(0)
    var value: Int { self.count.load(ordering: .relaxed) }
    func up() { self.count.add(1, ordering: .relaxed) }
}

/// Remembers on which thread it was used, and that it never was by two at once.
private final class Borrowed: ThreadResident {
    let home = pthread_self()
    var runs = 0
    var runsElsewhere = 0
    var posts = 0
    var turns = 0
    var overlaps = 0
    var isBusy = false
    var seen: [Int: [Int]] = [:]
    var isPostDone = true
    var deadline: ContinuousClock.Instant?
    var onDeadline: (@Sendable () -> Void)?
    var isLendable: Bool { true }

    func alone(_ body: () -> Void) {
        if self.isBusy { self.overlaps += 1 }
        self.isBusy = true
        body()
        self.isBusy = false
    }

    func run() {
        self.alone {
            self.runs += 1
            if pthread_equal(self.home, pthread_self()) == 0 { self.runsElsewhere += 1 }
        }
    }

    func waits() -> ThreadWaits { ThreadWaits(deadline: self.deadline) }

    func turn(_ ready: ReadySockets) {
        self.alone { self.turns += 1 }
        guard let deadline = self.deadline, deadline <= .now else { return }
        self.deadline = nil
        self.onDeadline?()
    }

    func post() -> Bool {
        self.alone { self.posts += 1 }
        return self.isPostDone
    }

    func stop() {}
}

@Suite("a resident that may be borrowed", .timeLimit(.minutes(2)))
struct BorrowingTests {
    private func counts(_ thread: DriverThread<Borrowed>) async throws -> [String: Int] {
        try await thread.call(during: "read") { resident, done in
            done(
                .success([
                    "runs": resident.runs, "elsewhere": resident.runsElsewhere, "posts": resident.posts,
                    "turns": resident.turns, "overlaps": resident.overlaps,
                ]))
        }.get()
    }

    @Test("a command that borrows is run where it was put while the thread sleeps, and its work is posted")
    func runsHere() async throws {
        let thread = try DriverThread(name: "borrow") { Borrowed() }
        var counts = try await self.counts(thread)
        while counts["elsewhere"] == 0 {
            try thread.put(during: "append", borrowing: true) { $0.run() }
            counts = try await self.counts(thread)
        }
        #expect(counts["posts"] == counts["elsewhere"])
        #expect(counts["overlaps"] == 0)
        await thread.stop()
        let late = #expect(throws: DriverError.self) {
            try thread.put(during: "append", borrowing: true) { $0.run() }
        }
        #expect(late?.code == .closed)
    }

    @Test("commands of many tasks, borrowing or not, run one at a time, each task's in order, and none is lost")
    func isNeverShared() async throws {
        let thread = try DriverThread(name: "crowd", mailboxLimit: 1_000_000) { Borrowed() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<8 {
                group.addTask {
                    for number in 0..<5_000 {
                        try thread.put(during: "append", borrowing: (number + writer) % 3 != 0) { resident in
                            resident.run()
                            resident.seen[writer, default: []].append(number)
                            // From within, as what answers an append puts the next one.
                            if number % 10 == 0 {
                                try? thread.put(during: "append", borrowing: true) { $0.run() }
                            }
                        }
                        if number % 50 == 0 { await Task.yield() }
                    }
                }
            }
            try await group.waitForAll()
        }
        var counts = try await self.counts(thread)
        while counts["runs"] != 44_000 { counts = try await self.counts(thread) }
        #expect(counts["overlaps"] == 0)
        let seen = try await thread.call(during: "read") { resident, done in done(.success(resident.seen)) }.get()
        for writer in 0..<8 { #expect(seen[writer] == Array(0..<5_000)) }
        await thread.stop()
    }

    @Test(
        "a borrower that isn't done, or that sets an earlier deadline, has the thread take a turn",
        arguments: [true, false])
    func handsOver(isPostDone: Bool) async throws {
        let thread = try DriverThread(name: "hand over") { Borrowed() }
        try thread.put(during: "run") { $0.isPostDone = isPostDone }
        for _ in 0..<20 {
            let set = ContinuousClock.now
            let fired: ContinuousClock.Instant = try await withCheckedThrowingContinuation { continuation in
                do {
                    try thread.put(during: "append", borrowing: true) { resident in
                        resident.deadline = .now + .milliseconds(2)
                        resident.onDeadline = { continuation.resume(returning: .now) }
                    }
                } catch {
                    continuation.resume(throwing: error)
                }
            }
            #expect(fired - set >= .milliseconds(2))
        }
        await thread.stop()
    }

    @Test("while it is being stopped, each command is run or refused")
    func stopsAmongBorrowers() async throws {
        for _ in 0..<50 {
            let thread = try DriverThread(name: "stop") { Borrowed() }
            let ran = Counter()
            let taken = await withTaskGroup(of: Int.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        var taken = 0
                        while (try? thread.put(during: "append", borrowing: true, { _ in ran.up() })) != nil {
                            taken += 1
                            if taken % 100 == 0 { await Task.yield() }
                        }
                        return taken
                    }
                }
                group.addTask {
                    await Task.yield()
                    await thread.stop()
                    return 0
                }
                return await group.reduce(0, +)
            }
            #expect(ran.value == taken)
        }
    }
}

/// A gate that blocks a thread of ours until it is opened.
private final class Gate: Sendable {
    private let pipeEnds: (reader: CInt, writer: CInt)

    init() {
        var ends: [CInt] = [0, 0]
        pipe(&ends)
        self.pipeEnds = (ends[0], ends[1])
    }

    deinit {
        close(self.pipeEnds.reader)
        close(self.pipeEnds.writer)
    }

    func open() {
        var byte: UInt8 = 1
        write(self.pipeEnds.writer, &byte, 1)
    }

    func waitUntilOpen() {
        var byte: UInt8 = 0
        read(self.pipeEnds.reader, &byte, 1)
    }
}

private enum FileDescriptors {
    static func count() throws -> Int {
        guard let directory = opendir("/proc/self/fd") else {
            throw DriverError(.unreachable, during: "run", recovery: .giveUp, detail: "no /proc")
        }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        return count
    }
}
