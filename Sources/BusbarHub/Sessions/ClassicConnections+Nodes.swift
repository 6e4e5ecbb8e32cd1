import Busbar
import BusbarProtocol
package import NIOCore
import Synchronization

extension HubRuntime {
    /// Whether a classic connection lives on this node.
    package func hasClassic(_ id: String) -> Bool { self.classicDirectory.ticket(of: id) != nil }
}

/// What a call gets that came by a request of its own, `/send`.
package enum ClassicSend: Hashable, Sendable {
    /// The hub's result in JSON.
    case result(ByteBuffer)
    /// The call has run, and had no id to answer with.
    case nothing
    /// It can't be read; says what was wrong.
    case malformed(String)
    /// A persistent connection could not handle what it was sent: answer 500.
    case failed
    /// As many calls of the connection wait as may: answer 503.
    case busy
    /// No node has such a connection, or it ended before the call was begun: answer 404.
    case unknown
    /// The node of the connection stops, is gone or did not answer: whether the call has run is unknown. Answer 503.
    case unreachable
}

/// Requests about a classic connection that may arrive at any node: the one that has it does what they ask, once.
///
/// Each returns when that is done. All of them fail at once when the node of the connection dies.
extension ClassicConnections {
    /// Longer than any client waits.
    private static let timeout = Duration.seconds(120)

    /// Runs the connected event once per connection and returns when it is done.
    package func start(id: String) async -> ClassicStart {
        for _ in 0..<Self.attempts {
            if let ticket = self.directory.ticket(of: id) {
                let start = await self.start(ticket)
                if start != .unknown { return start }
            }
            switch await self.ask(.classicStart, about: id) {
            case .success(.done(let body))?:
                let start = ClassicStart(reading: body)
                if start != .unknown { return start }
            case .success(.refused), .failure: return .unreachable
            case nil: return .unknown
            }
        }
        return .unreachable
    }

    /// Ends a connection on its client's wish, whether it has a channel or not. Unknown ids are ignored.
    package func abort(id: String) async {
        for _ in 0..<Self.attempts {
            if let ticket = self.directory.ticket(of: id), await self.abort(id, ticket) { return }
            guard case .success(.done(let body))? = await self.ask(.classicAbort, about: id),
                body.readableBytesView.first == Self.goneByte
            else { return }
        }
    }

    /// Runs a call of the client, given as the text that it sent, and returns its result.
    package func send(id: String, payload: ByteBuffer) async -> ClassicSend {
        for _ in 0..<Self.attempts {
            if let ticket = self.directory.ticket(of: id) {
                let outcome = await self.send(payload, ticket)
                if outcome != .unknown { return outcome }
            }
            switch await self.ask(.classicSend, about: id, payload) {
            case .success(.done(let body))?:
                let outcome = ClassicSend(reading: body)
                if outcome != .unknown { return outcome }
            case .success(.refused), .failure: return .unreachable
            case nil: return .unknown
            }
        }
        return .unreachable
    }

    /// How often a connection is looked for that has left, or ended, whenever a request came to where it was. What it was
    /// asked was not begun there, so that asking again does nothing twice.
    private static let attempts = 50

    /// The answer to an abort that found nothing to end.
    private static let goneByte: UInt8 = 2

    private func ask(
        _ call: NodeCall, about id: String, _ body: ByteBuffer = ByteBuffer()
    ) async -> Result<NodeAnswer, HubSendError>? {
        do throws(HubSendError) {
            return try await self.runtime.services.nodes.askOwner(
                of: id, kind: call.rawValue, body: body, timeout: Self.timeout
            ).map { .success($0) }
        } catch {
            return .failure(error)
        }
    }

    // MARK: Here

    /// What another node asks for. The connection was here a moment ago.
    func serve(_ call: NodeCall, about id: String, _ body: ByteBuffer) async -> ByteBuffer {
        let ticket = self.directory.ticket(of: id)
        switch call {
        case .ping: return ByteBuffer()
        case .classicStart:
            guard let ticket else { return ClassicStart.unknown.encoded() }
            return await self.start(ticket).encoded()
        case .classicAbort:
            let hasEnded = if let ticket { await self.abort(id, ticket) } else { false }
            return hasEnded ? ByteBuffer() : ByteBuffer(integer: Self.goneByte)
        case .classicSend:
            guard let ticket else { return ClassicSend.unknown.encoded() }
            return await self.send(body, ticket).encoded()
        }
    }

    private func start(_ ticket: ClassicDirectory.Ticket) async -> ClassicStart {
        await withCheckedContinuation { continuation in
            self.directory.perform(ticket) { session in
                if let session {
                    session.start(continuation)
                } else {
                    continuation.resume(returning: .unknown)
                }
            }
        }
    }

    /// False if there is nothing to end: it is over, or another node has it.
    private func abort(_ id: String, _ ticket: ClassicDirectory.Ticket) async -> Bool {
        let directory = self.directory
        let hasEnded = await withCheckedContinuation { continuation in
            directory.perform(ticket) { session in
                guard let session, !session.state.lifecycle.isOver else { return continuation.resume(returning: false) }
                // Why before: its id is free from then on, and a request may be waiting for that.
                directory.remember(ended: id)
                session.abort()
                continuation.resume(returning: true)
            }
        }
        if hasEnded { self.announceEnd(of: id) }
        return hasEnded
    }

    /// Tells all nodes that the client has ended a connection: a receive request of it may be on its way to any of them.
    ///
    /// Why given up at last, and at once while too many wait for the broker: whoever it came to notices by itself, later, that
    /// the client is gone.
    private func announceEnd(of id: String) {
        let nodes = self.runtime.services.nodes, directory = self.directory
        guard nodes.mayHaveOthers, directory.beginAnnouncing() else { return }
        let work = Work(context: nil) {
            defer { directory.endAnnouncing() }
            for _ in 0..<Self.announcements where !Task.isCancelled && directory.hasEnded(id) {
                if await nodes.announceEnd(of: id) { return }
                do { try await nodes.bus.time.clock.sleep(for: .seconds(1)) } catch { return }
            }
        }
        if !self.runtime.services.mailbox.submit(work) { directory.endAnnouncing() }
    }

    /// How often the end of a connection is announced to a broker that doesn't take it.
    private static let announcements = 30

    private func send(_ payload: ByteBuffer, _ ticket: ClassicDirectory.Ticket) async -> ClassicSend {
        await withCheckedContinuation { continuation in
            let reply = ClassicReply(continuation)
            self.directory.perform(ticket) { session in
                if let session {
                    session.received(payload, answer: .reply(reply))
                } else {
                    reply.resume(.unknown)
                }
            }
        }
    }

    /// Tells the node that had a connection, if any, that it lives here now. Ends with the connection.
    func announceMove(of session: ClassicSession, _ ticket: ClassicDirectory.Ticket, isBeginning: Bool) {
        let id = session.id, nodes = self.runtime.services.nodes, directory = self.directory
        let work = Work(context: session.state.context) {
            while !Task.isCancelled, directory.ticket(of: id) == ticket {
                if await nodes.announceMove(of: id, isBeginning: isBeginning) { return }
                do { try await nodes.bus.time.clock.sleep(for: .seconds(1)) } catch { return }
            }
        }
        self.runtime.services.mailbox.submit(work)
    }
}

/// Where the outcome of a posted call goes, once. Whoever lets go of it without an outcome leaves that unknown.
final class ClassicReply: Sendable {
    private let continuation: Mutex<CheckedContinuation<ClassicSend, Never>?>

    init(_ continuation: CheckedContinuation<ClassicSend, Never>) {
        self.continuation = Mutex(continuation)
    }

    deinit { self.resume(.unreachable) }

    func resume(_ outcome: ClassicSend) {
        self.continuation.withLock { $0.take() }?.resume(returning: outcome)
    }
}

/// Where the result of a call goes.
enum ClassicAnswer: Sendable {
    /// To the receive channel that the call came by, as long as it is the connection's.
    case channel(ClassicLifecycle.Channel)
    case reply(ClassicReply)

    /// What became of the call when no channel has a part in it: tells whoever waits for the answer to a request.
    func settle(_ outcome: ClassicSend) {
        switch self {
        case .channel: break
        case .reply(let reply): reply.resume(outcome)
        }
    }
}

// MARK: - Bytes

extension ClassicStart {
    private enum Code: UInt8 { case failed = 0, started, unknown, unreachable }

    fileprivate func encoded() -> ByteBuffer {
        let code: Code =
            switch self {
            case .started: .started
            case .failed: .failed
            case .unknown: .unknown
            case .unreachable: .unreachable
            }
        return ByteBuffer(integer: code.rawValue)
    }

    fileprivate init(reading bytes: ByteBuffer) {
        switch bytes.readableBytesView.first.flatMap(Code.init(rawValue:)) {
        case .started: self = .started
        case .failed, nil: self = .failed
        case .unknown: self = .unknown
        case .unreachable: self = .unreachable
        }
    }
}

/// One byte that says which it is, then the result or the reason.
extension ClassicSend {
    private enum Code: UInt8 { case result = 1, nothing, malformed, busy, unknown, unreachable, failed }

    func encoded() -> ByteBuffer {
        switch self {
        case .result(let text): Self.bytes(.result, text)
        case .nothing: Self.bytes(.nothing)
        case .malformed(let why): Self.bytes(.malformed, ByteBuffer(string: why))
        case .failed: Self.bytes(.failed)
        case .busy: Self.bytes(.busy)
        case .unknown: Self.bytes(.unknown)
        case .unreachable: Self.bytes(.unreachable)
        }
    }

    init(reading bytes: ByteBuffer) {
        var bytes = bytes
        switch bytes.readInteger(as: UInt8.self).flatMap(Code.init(rawValue:)) {
        case .result: self = .result(bytes)
        case .nothing: self = .nothing
        case .malformed: self = .malformed(String(buffer: bytes))
        case .failed: self = .failed
        case .busy: self = .busy
        case .unknown: self = .unknown
        case .unreachable, nil: self = .unreachable
        }
    }

    private static func bytes(_ code: Code, _ rest: ByteBuffer = ByteBuffer()) -> ByteBuffer {
        var bytes = ByteBuffer(integer: code.rawValue)
        bytes.writeImmutableBuffer(rest)
        return bytes
    }
}
