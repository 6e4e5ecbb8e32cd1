import BusbarHub
import BusbarProtocol
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
        var lastFrame: ByteBuffer?
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

    /// The newest of what was written, as it was written.
    var lastFrame: ByteBuffer? { self.state.withLock { $0.lastFrame } }

    fileprivate func wrote(_ frame: ByteBuffer) { self.state.withLock { $0.lastFrame = frame } }

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

/// An outlet that takes WebSocket frames apart and passes their texts to a sink. What is sent in MessagePack is passed on
/// as the same message in JSON.
final class RecordingOutlet: Outlet {
    private let sink: Sink
    /// Whether a frame holds records of the core protocol, each a text of its own.
    private let splitsRecords: Bool
    private let language: CoreProtocol

    init(_ sink: Sink, splitsRecords: Bool, language: CoreProtocol = .json) {
        self.sink = sink
        self.splitsRecords = splitsRecords
        self.language = language
    }

    func write(_ frame: ByteBuffer) {
        self.sink.wrote(frame)
        var bytes = frame
        while let (opcode, payload) = Self.frame(&bytes) {
            let text = String(buffer: payload)
            switch (opcode, self.language) {
            case (0x82, .messagePack):
                for text in Self.texts(payload) { self.sink.took(text, bytes: payload.readableBytes) }
            case (0x81, .json) where !self.splitsRecords:
                self.sink.took(text, bytes: text.utf8.count)
            case (0x81, _):
                let mark = self.language == .json ? "" : "as text: "
                for record in text.split(separator: "\u{1E}") {
                    self.sink.took(mark + record, bytes: record.utf8.count)
                }
            default:
                self.sink.took("a frame that begins with \(opcode)", bytes: text.utf8.count)
            }
        }
    }

    /// The messages of a binary frame in JSON: the answer to a handshake is that already.
    private static func texts(_ payload: ByteBuffer) -> [String] {
        var payload = payload, splitter = RecordSplitter(), texts: [String] = []
        do {
            if payload.readableBytesView.first == UInt8(ascii: "{") {
                let record = try splitter.nextRecord(from: &payload, limitBytes: nil)
                texts.append(record.map { String(buffer: $0) } ?? "half a record")
            }
            while let record = try CoreProtocol.messagePack.nextRecord(from: &payload, &splitter, limitBytes: nil) {
                var json = ByteBuffer()
                CoreJSON.write(try CoreMessagePack.parse(record), into: &json)
                texts.append(String(String(buffer: json).dropLast()))
            }
        } catch {
            texts.append("\(error)")
        }
        return payload.readableBytes == 0 ? texts : texts + ["half a message"]
    }

    /// Opcode and payload of the next frame, which must be whole, final and unmasked.
    private static func frame(_ bytes: inout ByteBuffer) -> (opcode: UInt8, payload: ByteBuffer)? {
        guard let first: UInt8 = bytes.readInteger(), let short: UInt8 = bytes.readInteger() else { return nil }
        let length: Int? =
            switch short {
            case 126: bytes.readInteger(as: UInt16.self).map(Int.init)
            case 127: bytes.readInteger(as: UInt64.self).map(Int.init)
            default: Int(short)
            }
        return length.flatMap { bytes.readSlice(length: $0) }.map { (first, $0) }
    }

    func flush() { self.sink.flushed() }
    var queuedBytes: Int { self.sink.queuedBytes }
    func pauseReading() { self.sink.paused() }
    func resumeReading() { self.sink.resumed() }
    func end(_ ending: OutletEnding) { self.sink.ended(ending) }
}
