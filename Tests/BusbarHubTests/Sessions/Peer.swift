import BusbarHub
import NIOCore
import Synchronization
import Testing

/// What a client has been sent, text by text, and how its channel ended. Waits are bounded by the test's time limit.
final class Sink: Sendable {
    private struct State {
        var texts: [String] = []
        var ending: OutletEnding?
        var waiter: CheckedContinuation<String?, Never>?
        var pauses = 0
        var resumes = 0
        var flushes = 0
        var bytes = 0
        var isStuck = false
        var queuedBytes = 0
    }

    private let state = Mutex(State())

    /// The next text; nil when the channel has ended and everything was taken.
    func next() async -> String? {
        await withCheckedContinuation { continuation in
            let ready: String?? = self.state.withLock { state in
                if !state.texts.isEmpty { return state.texts.removeFirst() }
                if state.ending != nil { return .some(nil) }
                state.waiter = continuation
                return nil
            }
            if let ready { continuation.resume(returning: ready) }
        }
    }

    var isEmpty: Bool { self.waiting.isEmpty }
    var waiting: [String] { self.state.withLock { $0.texts } }
    var ending: OutletEnding? { self.state.withLock { $0.ending } }
    var pauses: Int { self.state.withLock { $0.pauses } }
    var resumes: Int { self.state.withLock { $0.resumes } }
    var flushes: Int { self.state.withLock { $0.flushes } }
    var queuedBytes: Int { self.state.withLock { $0.queuedBytes } }

    /// The kernel takes nothing any more.
    func getStuck() { self.state.withLock { $0.isStuck = true } }

    /// The kernel has taken everything.
    func getFree() {
        self.state.withLock { state in
            state.isStuck = false
            state.queuedBytes = 0
        }
    }

    /// The kernel has taken everything, and will take nothing more.
    func drain() { self.state.withLock { $0.queuedBytes = 0 } }

    fileprivate func paused() { self.state.withLock { $0.pauses += 1 } }
    fileprivate func resumed() { self.state.withLock { $0.resumes += 1 } }
    fileprivate func flushed() { self.state.withLock { $0.flushes += 1 } }

    fileprivate func took(_ text: String, bytes: Int) {
        let waiter = self.state.withLock { state -> CheckedContinuation<String?, Never>? in
            if state.isStuck { state.queuedBytes += bytes }
            if let waiter = state.waiter.take() { return waiter }
            state.texts.append(text)
            return nil
        }
        waiter?.resume(returning: text)
    }

    fileprivate func ended(_ ending: OutletEnding) {
        let waiter = self.state.withLock { state in
            state.ending = ending
            return state.waiter.take()
        }
        waiter?.resume(returning: nil)
    }
}

extension Sink {
    /// Expects that the client is not being read, and is again when everything that was written has been taken.
    /// - Parameter drained: tells its session that the outlet has room.
    func expectReadingToWait(_ drained: () async throws -> Void) async throws {
        #expect(self.pauses == 1)
        try await drained()
        #expect(self.resumes == 0)
        self.getFree()
        try await drained()
        #expect(self.resumes == 1)
    }
}

/// An outlet that takes WebSocket frames apart and passes their texts to a sink.
final class RecordingOutlet: Outlet {
    private let sink: Sink
    /// Whether a frame holds records of the core protocol, each a text of its own.
    private let splitsRecords: Bool

    init(_ sink: Sink, splitsRecords: Bool) {
        self.sink = sink
        self.splitsRecords = splitsRecords
    }

    func write(_ frame: ByteBuffer) {
        var bytes = frame
        while let text = Self.text(&bytes) {
            if self.splitsRecords {
                for record in text.split(separator: "\u{1E}") {
                    self.sink.took(String(record), bytes: record.utf8.count)
                }
            } else {
                self.sink.took(text, bytes: text.utf8.count)
            }
        }
    }

    /// The payload of the next frame, which must be a whole, final, unmasked text frame.
    private static func text(_ bytes: inout ByteBuffer) -> String? {
        guard let first: UInt8 = bytes.readInteger(), first == 0x81, let short: UInt8 = bytes.readInteger() else {
            return nil
        }
        let length: Int? =
            switch short {
            case 126: bytes.readInteger(as: UInt16.self).map(Int.init)
            case 127: bytes.readInteger(as: UInt64.self).map(Int.init)
            default: Int(short)
            }
        return length.flatMap { bytes.readString(length: $0) }
    }

    func flush() { self.sink.flushed() }
    var queuedBytes: Int { self.sink.queuedBytes }
    func pauseReading() { self.sink.paused() }
    func resumeReading() { self.sink.resumed() }
    func end(_ ending: OutletEnding) { self.sink.ended(ending) }
}
